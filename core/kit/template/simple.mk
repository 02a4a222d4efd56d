# SPDX-License-Identifier: MIT
# The build without autotools: make -f simple.mk [check|install|uninstall|clean]
VERSION = 0.1.0
CFLAGS = -O2 -g -Wall -Wextra
PKG_CONFIG = pkg-config
CONFORMANCE_FLAGS =
# Of berth. The directories are those on the machine where it will run, not in a sysroot.
BERTH = $$($(PKG_CONFIG) --variable=berth berth)
adapterdir = $$(PKG_CONFIG_SYSROOT_DIR= $(PKG_CONFIG) --variable=adapterdir berth)
vendorconfdir = $$(PKG_CONFIG_SYSROOT_DIR= $(PKG_CONFIG) --variable=vendorconfdir berth)

new-adapter.so: new-adapter.c
	flags=$$($(PKG_CONFIG) --cflags berth) && \
	  $(CC) $(CPPFLAGS) -DPACKAGE_VERSION='"$(VERSION)"' $$flags $(CFLAGS) -fPIC -fvisibility=hidden \
	  $(LDFLAGS) -shared -Wl,-z,defs -o $@ new-adapter.c

check: new-adapter.so
	CC='$(CC)' $(BERTH) conformance $(CONFORMANCE_FLAGS) ./new-adapter.so

install: new-adapter.so
	install -d "$(DESTDIR)$(adapterdir)" "$(DESTDIR)$(vendorconfdir)"
	install -m 644 new-adapter.so "$(DESTDIR)$(adapterdir)"
	install -m 644 new-adapter.json "$(DESTDIR)$(vendorconfdir)"

uninstall:
	rm -f "$(DESTDIR)$(adapterdir)/new-adapter.so" "$(DESTDIR)$(vendorconfdir)/new-adapter.json"

clean:
	rm -f new-adapter.so

.PHONY: check install uninstall clean
