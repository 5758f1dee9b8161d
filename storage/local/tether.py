"""Becomes another program that is told to stop when the process that started it dies.

Run as `python tether.py PARENT_PID PROGRAM ARGUMENT …`. The program keeps the process id, so what its parent signals
and waits for is the program itself. Where the system cannot do this (it is Linux's PR_SET_PDEATHSIG) it only becomes
the program.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, *program = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(parent):  # it died before the line above
            sys.exit(1)
    os.execvp(program[0], program)


if __name__ == "__main__":
    main()
