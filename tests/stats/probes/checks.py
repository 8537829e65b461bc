"""``stats.checks``: every probe calls these checks, so they have no probe of their own."""

PROBES = {}

CHECKED_BY_CALLER = [
    (
        "checks",
        "refuse array_of floats numbers column flags codes number positive count one_of",
        "survival.cox.check_survival_data irt.config.CalibrationConfig irt.anchors.AnchorCandidates",
    )
]
