"""From a Stan program to an executable that cmdstanpy runs, with CmdStan or with wheels and a compiler."""
