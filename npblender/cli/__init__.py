"""The command line. Nothing is computed here, and a subcommand imports only what it needs.

main          the console script: finds the subcommand, turns errors into one line and an exit code
chat          npblender chat: interactive.py has the commands of a conversation at a terminal, terminal.py prints,
              kept.py keeps it in a database
generate      npblender generate: files.py opens input and output, progress.py reports how far it is
explain       npblender explain: a page that shows how a reply came about
serve, tokenize, info, fetch, convert, verify, trace, compare, golden, exercises     a subcommand each
streams       standard streams that are closed, or whose encoding lacks letters
options       what several subcommands share: options, and the threads that a small model gets
"""
