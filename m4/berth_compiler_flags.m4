# SPDX-License-Identifier: MIT
# BERTH_COMPILER_FLAGS(VARIABLE, FLAGS)
# -------------------------------------
# Sets the output variable to those of the flags that the compiler knows.
AC_DEFUN([BERTH_COMPILER_FLAGS],
[AC_MSG_CHECKING([which of $1 the compiler knows])
berth_saved_cflags=$CFLAGS
$1=
for berth_flag in m4_normalize([$2])
do
  # clang only warns about a warning that it does not know.
  CFLAGS="$berth_saved_cflags -Werror $berth_flag"
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM()], [$1="$$1 $berth_flag"])
done
CFLAGS=$berth_saved_cflags
AC_MSG_RESULT([$$1])
AC_SUBST([$1])])
