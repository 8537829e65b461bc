"""Item response theory over sparse answer logs: calibration, scoring, linking, fit, DIF and drift.

P(x = 1 | θ) = c + (1 − c) · logistic(a (θ − b)), on the logit metric (D = 1). Import each name from its module:

    data = ResponseData.from_long(user, item, correct=correct)          # one entry per answer; user may be (user, window)
    calibration = calibrate(data, CalibrationConfig(model="2PL"))       # on its own scale: population mean 0, SD 1
    calibrate(data, CalibrationConfig(anchors=on_platform_scale))       # on the scale of the anchors
    score(data, calibration.parameters)                                 # θ and its SE per row: EAP, MAP or WLE
    link(new, old, method="stocking-lord")                              # θ_old = A θ_new + B, without drifted anchors
    item_drift(baseline.items, recent.items, link=link)                 # changes on the baseline's scale, and alerts
    compare_groups(data, items, labels=labels)                          # DIF of every group against a reference
    item_fit(data, calibration), person_fit(data, items), select_anchor_items(candidates, history)
"""
