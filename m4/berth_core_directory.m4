# SPDX-License-Identifier: MIT
# BERTH_CORE_DIRECTORY
# --------------------
# Autoconf takes anything called "core" for the core dump of a failed check: its
# checks, and those of Automake, run "rm -f core", and so does the trap at the end of
# configure. Here core is a directory. Each such line then prints an error, and in the
# trap the failure skips the removal of confdefs.h, which make distcheck finds left
# behind. So rm is a function in configure that leaves core alone. It is defined right
# after AC_INIT, which has only set the trap by then.
AC_DEFUN([BERTH_CORE_DIRECTORY],
[rm ()
{
  for berth_operand
  do
    shift
    test "x$berth_operand" = xcore || set x "$[]@" "$berth_operand"
    test "x$berth_operand" = xcore || shift
  done
  command rm "$[]@"
}])
