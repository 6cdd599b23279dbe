"""``python -m arena``: the same as the command ``arena``, for launchers that want a module."""

from arena.cli import main

if __name__ == "__main__":
    main()
