"""The SQL files of the psychometrics domain."""

ABILITY = "psychometrics/ability.sql"
ANCHORS = "psychometrics/anchors.sql"
DIF = "psychometrics/dif.sql"
DRIFT = "psychometrics/drift.sql"
RESPONSES = "psychometrics/responses.sql"
SCALE = "psychometrics/scale.sql"
OUTCOMES = "backtest/outcomes.sql"
