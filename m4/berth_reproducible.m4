# SPDX-License-Identifier: MIT
# BERTH_REPRODUCIBLE
# ------------------
# Sets PREFIX_MAP_CFLAGS so that objects do not tell where they were built: files of
# the source tree are named from its top, and the build tree is ".". Libtool compiles
# its list of what is linked in with flags of its own, which nothing but an edit of it
# reaches. After LT_INIT.
AC_DEFUN([BERTH_REPRODUCIBLE],
[AC_MSG_CHECKING([whether the compiler knows -ffile-prefix-map])
berth_saved_cflags=$CFLAGS
CFLAGS="$CFLAGS -Werror -ffile-prefix-map=/nowhere=."
PREFIX_MAP_CFLAGS=
AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
  [PREFIX_MAP_CFLAGS='-ffile-prefix-map=$(abs_top_builddir)=. -ffile-prefix-map=$(top_srcdir)/='
  AC_MSG_RESULT([yes])],
  [AC_MSG_RESULT([no])])
CFLAGS=$berth_saved_cflags
AC_SUBST([PREFIX_MAP_CFLAGS])
AC_CONFIG_COMMANDS([libtool-prefix-map],
  [test -z "$PREFIX_MAP_CFLAGS" ||
    { sed "s|^LTCFLAGS=\"|&-ffile-prefix-map=`pwd`=. |" libtool >libtool.tmp &&
      cat libtool.tmp >libtool && rm -f libtool.tmp; }],
  [PREFIX_MAP_CFLAGS='$PREFIX_MAP_CFLAGS'])])
