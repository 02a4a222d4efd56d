# SPDX-License-Identifier: MIT
# BERTH_HARDENING
# ---------------
# Sets HARDENING_CPPFLAGS, HARDENING_CFLAGS, HARDENING_LDFLAGS, and PIE_CFLAGS and
# PIE_LDFLAGS for programs, to what the compiler and the linker know of what makes
# faults harder to use; empty with --disable-hardening. After the sanitizer is known.
AC_DEFUN([BERTH_HARDENING],
[AC_ARG_ENABLE([hardening],
  [AS_HELP_STRING([--disable-hardening], [do not add flags that make faults harder to use])],
  [], [enable_hardening=yes])
HARDENING_CPPFLAGS= HARDENING_CFLAGS= HARDENING_LDFLAGS= PIE_CFLAGS= PIE_LDFLAGS=
AS_IF([test "x$enable_hardening" = xyes],
  [BERTH_LINK_FLAGS([HARDENING_CFLAGS], [], [-fstack-protector-strong -fstack-clash-protection -fcf-protection])
  BERTH_LINK_FLAGS([HARDENING_LDFLAGS], [-Wl,], [-z,relro -z,now -z,noexecstack])
  # Alone -pie is taken as well, but makes text relocations of what is not for it.
  BERTH_LINK_FLAGS([PIE_LDFLAGS], [-fPIE ], [-pie])
  AS_IF([test -n "$PIE_LDFLAGS"], [PIE_CFLAGS=-fPIE PIE_LDFLAGS=-pie])
  # It does nothing without optimization, is in the way of sanitizers, and whoever
  # builds may have chosen a level.
  AS_IF([test "x$enable_sanitizer" = xno],
    [AC_MSG_CHECKING([whether _FORTIFY_SOURCE is ours to choose])
    AC_COMPILE_IFELSE([AC_LANG_SOURCE([
#if !defined __OPTIMIZE__ || defined _FORTIFY_SOURCE
#error
#endif
])],
      [HARDENING_CPPFLAGS=-D_FORTIFY_SOURCE=2
      AC_MSG_RESULT([yes])],
      [AC_MSG_RESULT([no])])])])
AC_SUBST([HARDENING_CPPFLAGS])
AC_SUBST([HARDENING_CFLAGS])
AC_SUBST([HARDENING_LDFLAGS])
AC_SUBST([PIE_CFLAGS])
AC_SUBST([PIE_LDFLAGS])])

# BERTH_LINK_FLAGS(VARIABLE, PREFIX, FLAGS)
# -----------------------------------------
# Sets the variable to those of the flags, each with the prefix, that a program can
# be compiled and linked with.
AC_DEFUN([BERTH_LINK_FLAGS],
[AC_MSG_CHECKING([which of m4_normalize([$3]) can be linked with])
berth_saved_cflags=$CFLAGS
$1=
for berth_flag in m4_normalize([$3])
do
  CFLAGS="$berth_saved_cflags -Werror $2$berth_flag"
  AC_LINK_IFELSE([AC_LANG_PROGRAM()], [$1="$$1 $2$berth_flag"])
done
CFLAGS=$berth_saved_cflags
AC_MSG_RESULT([${$1:- none}])])
