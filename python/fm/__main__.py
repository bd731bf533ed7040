"""`python -m fm` is the program `fm`."""

from fm.program import main

main()
