"""`python -m semiseg`: the command line, also where the virtual environment is not activated."""

from semiseg.cli import main

if __name__ == "__main__":
    main()
