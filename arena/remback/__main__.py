"""``python -m arena.remback``: the same as the command ``remback``."""

from arena.remback.cli import main

if __name__ == "__main__":
    main()
