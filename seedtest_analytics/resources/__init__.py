"""What assets reach outside the process: database, object store, Stan, R, Quarto. All lazy, replaceable."""
