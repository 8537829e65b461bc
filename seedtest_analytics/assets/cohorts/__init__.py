"""The weekly pages about groups of students: classes, organisations, and the platform for its operators."""
