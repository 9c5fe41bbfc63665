"""`python -m fleming_nemo.cli`: the command where the console script is not on PATH, as under torchrun."""

from fleming_nemo.cli import main

if __name__ == "__main__":
    main()
