# SPDX-License-Identifier: MIT
# BERTH_ADAPTER(ID, [SERVES])
# ---------------------------
# Adds --disable-adapter-ID and, with ID in capitals and _ in the place of -, the
# conditional ADAPTER_ID and the macro WITH_ADAPTER_ID, and collects what is enabled in berth_adapters. SERVES is "no" for
# one that has no drop-in, since it needs to be configured; it is in berth_helpers then.
AC_DEFUN([BERTH_ADAPTER],
[m4_pushdef([BERTH_shell], [enable_adapter_[]m4_translit([$1], [-], [_])])dnl
AC_ARG_ENABLE([adapter-$1],
  [AS_HELP_STRING([--disable-adapter-$1], [leave the adapter $1 out])],
  [], [BERTH_shell=yes])
AM_CONDITIONAL([ADAPTER_]m4_translit([$1], [a-z-], [A-Z_]), [test "x$BERTH_shell" = xyes])
AS_IF([test "x$BERTH_shell" = xyes],
  [m4_if([$2], [no], [berth_helpers="$berth_helpers $1"], [berth_adapters="$berth_adapters $1"])
   AC_DEFINE([WITH_ADAPTER_]m4_translit([$1], [a-z-], [A-Z_]), [1], [Define to 1 if the adapter $1 is built.])],
  [berth_adapters_left_out="$berth_adapters_left_out $1"])
m4_popdef([BERTH_shell])])

# BERTH_ADAPTERS
# --------------
# After the last of them: the output variables ADAPTERS and HELPERS, and the conditional
# ALL_ADAPTERS, without which the tests of all of them together have to be left out.
AC_DEFUN([BERTH_ADAPTERS],
[AC_MSG_CHECKING([which adapters are built])
AC_MSG_RESULT([${berth_adapters:- none}$berth_helpers])
AC_SUBST([ADAPTERS], [$berth_adapters])
AC_SUBST([HELPERS], [$berth_helpers])
AM_CONDITIONAL([ALL_ADAPTERS], [test -z "$berth_adapters_left_out"])])
