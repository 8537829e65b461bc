"""The weekly message: one true sentence for the student and one for the parent, and the outbox they are sent from."""
