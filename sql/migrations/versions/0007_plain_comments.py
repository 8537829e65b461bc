"""Comments of tables and columns in plain English.

Revision: 0007, after 0006.
"""

from alembic import op

from seedtest_analytics.database.migrations import replace_comments

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

COMMENTS = (
    ("mirt_ability", "n_answers", "Answers that the ability rests on.", "Answers behind the ability."),
    (
        "attempt_log",
        "student_id",
        "The user id where it is a UUID, else md5 of it laid out as one.",
        "The user id if it is a UUID, else its md5 in the form of a UUID.",
    ),
    (
        "attempt_log",
        "correct",
        "Answered right; false also where unanswered (see is_answered).",
        "Answered right; false also for an unanswered question (see is_answered).",
    ),
    (
        "attempt_log",
        "response_time_ms",
        "Time spent; 0 where it was not recorded (see recorded_time_ms). [ms]",
        "Time spent; 0 if it was not recorded (see recorded_time_ms). [ms]",
    ),
    (
        "attempt_log",
        "completed_at",
        "When the question was answered: its own time, else the exam's first storing. A re-score does not move it.",
        "When the question was answered: its own time, else the time when the exam was first stored. A re-score does not move it.",
    ),
    (
        "attempt_log",
        "started_at",
        "completed_at less the time spent, in whole seconds.",
        "completed_at minus the time spent, in whole seconds.",
    ),
    (
        "attempt_log",
        "answer_no",
        "Number of this answer among the student's answered attempts at the item, from 1; NULL where unanswered.",
        "Number of this answer among the student's answered attempts at the item, from 1; NULL if unanswered.",
    ),
    (
        "attempt_log",
        "recorded_time_ms",
        "Time spent, NULL where it was not recorded. [ms]",
        "Time spent; NULL if it was not recorded. [ms]",
    ),
    (
        "attempt_log",
        "hints_used",
        "Hints used, NULL where they were not recorded.",
        "Hints used; NULL if they were not recorded.",
    ),
    (
        "attempt_quarantine",
        None,
        "Malformed elements of exam_results with their reason; nothing is lost and nothing breaks a query.",
        "Malformed elements of exam_results with their reason. Nothing is lost, and no query breaks.",
    ),
    (
        "attempt_quarantine",
        "question_ordinal",
        "Position in questions[], from 1; 0 where the exam as a whole is meant.",
        "Position in questions[], from 1; 0 for the exam as a whole.",
    ),
    (
        "attempt_quarantine",
        "is_excluded",
        "The attempt is left out; else it is kept with the malformed field as not recorded.",
        "The attempt is left out; otherwise it is kept with the malformed field as not recorded.",
    ),
    (
        "attempt_quarantine",
        "element",
        "The element as it stands in the source, cut to 2,000 characters of text where longer.",
        "The element as in the source; longer ones are cut to 2,000 characters of text.",
    ),
    ("attempt_quarantine", "detected_at", "When it was first noticed.", "When it was first found."),
    (
        "attempt_sync",
        None,
        "Which version of each exam result the attempt log holds.",
        "The version of each exam result that the attempt log holds.",
    ),
    (
        "attempt_sync",
        "source_hash",
        "md5 over the exam result's columns that the attempts are made of.",
        "md5 of the columns of the exam result that its attempts use.",
    ),
    (
        "attempt_sync",
        "n_elements",
        "Elements of questions[] that the exam result had; 1 where questions is no array.",
        "Elements of questions[] in the exam result; 1 if questions is not an array.",
    ),
    (
        "attempt_touched_day",
        None,
        "Days whose attempts changed, one row a day; the sensor reads on from the last id that it saw.",
        "Days whose attempts changed, one row for each day. The sensor continues after the last id that it has seen.",
    ),
    (
        "attempt_touched_day",
        "id",
        "Key; a new one, higher than all, with each change.",
        "Key; each change gets a new one, higher than all before.",
    ),
    (
        "prediction_backtest",
        "method",
        "What made it; several are joined by a comma.",
        "Method of the prediction; several are joined by a comma.",
    ),
    (
        "prediction_backtest",
        "judged_until",
        "First instant after the outcomes that were looked at.",
        "First instant after the outcomes that were used.",
    ),
    (
        "prediction_backtest",
        "cohort_size",
        "Students (weeks of a forecast) that were judged.",
        "Judged students (for a forecast: weeks).",
    ),
    ("prediction_backtest", "n", "Predictions that were judged.", "Judged predictions."),
    ("prediction_backtest", "n_events", "How often it happened.", "Number of predictions whose event happened."),
    (
        "prediction_backtest",
        "observed_share",
        "Share in which it happened.",
        "Share of predictions whose event happened.",
    ),
    (
        "prediction_backtest",
        "auc",
        "Share of pairs ordered right; 0.5 is chance.",
        "Share of pairs in the right order; 0.5 is chance.",
    ),
    (
        "prediction_backtest",
        "baseline",
        "What the baseline says, known when the prediction was made.",
        "Description of the baseline, which was known when the prediction was made.",
    ),
    ("prediction_backtest", "reasons", "Why it is not credible.", "Why the prediction is not credible."),
    (
        "survival_fit_meta",
        None,
        "One row a churn fit: time to return from weekly landmarks, and whether to believe it.",
        "One row for each churn fit: time to return from weekly landmarks, and whether the fit is usable.",
    ),
    (
        "survival_fit_meta",
        "family",
        "What was fitted: cox_efron, cox_efron_ridge (covariates separate), weibull_aft, or heuristic.",
        "Fitted model: cox_efron, cox_efron_ridge (covariates separate), weibull_aft, or heuristic.",
    ),
    (
        "survival_fit_meta",
        "event_threshold_days",
        "Days of silence that survival_risk is about. [days]",
        "Days of silence that survival_risk predicts. [days]",
    ),
    (
        "survival_fit_meta",
        "concordance",
        "Share of pairs ordered right; 0.5 is chance.",
        "Share of pairs in the right order; 0.5 is chance.",
    ),
    ("survival_fit_meta", "n", "Landmarks: one row a student and week.", "Landmarks: one for each student and week."),
    (
        "survival_fit_meta",
        "is_usable",
        "The fit may be scored with; NULL: a row of the legacy pipeline.",
        "The fit may score; NULL for a row of the legacy pipeline.",
    ),
    (
        "survival_fit_meta",
        "reasons",
        "Why it is not usable or not what was asked for; covariates left out with the reason.",
        "Why the fit is not usable or differs from the settings; covariates that were left out, and why.",
    ),
    (
        "survival_fit_meta",
        "model",
        "All that scoring needs; NULL for the heuristic.",
        "Everything that scoring needs; NULL for the heuristic.",
    ),
    (
        "survival_risk_history",
        None,
        "Risk of silence of each student as of each week; who never started has a state and no risk.",
        "Risk of silence of each student as of each week. A student who never started has a state but no risk.",
    ),
    (
        "survival_risk_history",
        "hazard_ratio",
        "Hazard of returning against that of a student with average covariates.",
        "Hazard of returning relative to a student with average covariates.",
    ),
    (
        "survival_risk_history",
        "rank_percentile",
        "Share of the week's students whose risk is lower or, half counted, the same.",
        "Share of the week's students with a lower risk; students with the same risk count half.",
    ),
    (
        "survival_risk_history",
        "reasons",
        "What raises or lowers the risk most: [{subject, raises_risk, silence_change, text}].",
        "The subjects that change the risk most: [{subject, raises_risk, silence_change, text}].",
    ),
    (
        "survival_risk",
        "hazard_ratio",
        "Hazard of returning against that of a student with average covariates.",
        "Hazard of returning relative to a student with average covariates.",
    ),
    (
        "survival_risk",
        "rank_percentile",
        "Share of the week's students whose risk is lower or, half counted, the same.",
        "Share of the week's students with a lower risk; students with the same risk count half.",
    ),
    (
        "survival_risk",
        "reasons",
        "What raises or lowers the risk most: [{subject, raises_risk, silence_change, text}].",
        "The subjects that change the risk most: [{subject, raises_risk, silence_change, text}].",
    ),
    (
        "inactivity_notice",
        None,
        "Who fell silent: one row a student and silence, written once, when the threshold was crossed.",
        "Students who fell silent: one row for each student and silence, written once, when the threshold was crossed.",
    ),
    (
        "mirt_item_params",
        None,
        "The current parameters of each item: those of the newest usable calibration that has it.",
        "The current parameters of each item on the platform scale, from the newest usable calibration that has the item.",
    ),
    (
        "mirt_item_params",
        "params",
        "{a, b, c} on the logit metric (D = 1), with se_a, se_b, n and flags.",
        "{a, b, c} on the platform scale (logit metric, D = 1), with se_a, se_b, n and flags.",
    ),
    (
        "mirt_item_params_history",
        None,
        "Item parameters of every calibration; one row a calibration and item.",
        "Item parameters of every calibration on the platform scale; one row for each calibration and item.",
    ),
    (
        "mirt_item_params_history",
        "flag",
        "Why the item was set aside or needs a look; NULL: nothing found.",
        "Why the item was set aside or needs attention; NULL if nothing was found.",
    ),
    (
        "mirt_fit_meta",
        None,
        "One row a calibration: what was fitted, on what, and whether to believe it.",
        "One row for each calibration: the model, its data, and whether it is usable.",
    ),
    ("mirt_fit_meta", "is_usable", "The fit may be scored with.", "The fit may score."),
    (
        "drift_windows",
        "population_tags",
        "Who is in it: {topic_id, subject_id}, null for all.",
        "The population: {topic_id, subject_id}; null means all.",
    ),
    (
        "item_calibration",
        None,
        "Item parameters of the two windows of a comparison, on one scale.",
        "Item parameters of the two compared windows, on the scale of the baseline window.",
    ),
    (
        "drift_alerts",
        None,
        "Parameters that moved by more than matters and more than chance explains.",
        "Parameters that moved by more than the threshold and more than chance explains.",
    ),
    ("drift_alerts", "metric", "What moved.", "Parameter that moved."),
    ("drift_alerts", "value", "Change, recent less baseline.", "Change: recent minus baseline."),
    (
        "drift_alerts",
        "p_adjusted",
        "Adjusted over every parameter of every item.",
        "p-value adjusted for all parameters of all items.",
    ),
    (
        "drift_alerts",
        "resolved_at",
        "When somebody dealt with it; never written here.",
        "When somebody resolved it; the platform never writes it.",
    ),
    (
        "anchor_candidates",
        "n_calibrations",
        "Calibrations of the last 90 days that stability rests on, at most 5.",
        "Calibrations of the last 90 days that measure stability, at most 5.",
    ),
    (
        "anchor_candidates",
        "sd_b",
        "Spread of b over them; NULL below two. [logit]",
        "Standard deviation of b over them; NULL for fewer than two. [logit]",
    ),
    (
        "anchor_candidates",
        "is_stable",
        "b has stayed; false where that is not known.",
        "b is stable; false if that is unknown.",
    ),
    ("anchor_candidates", "is_flagged", "The calibration has a flag on it.", "The calibration flags the item."),
    (
        "anchor_candidates",
        "rank",
        "Place among the chosen, from 1; NULL: not chosen.",
        "Place among the chosen items, from 1; NULL if not chosen.",
    ),
    (
        "anchor_candidates",
        "reason",
        "First criterion that failed; NULL: none.",
        "First criterion that failed; NULL if none failed.",
    ),
    (
        "features_topic_daily",
        "theta_estimate",
        "Newest ability at the end of the day: in the topic where known, else overall. [logit]",
        "Newest ability at the end of the day: in the topic if known, else overall. [logit]",
    ),
    (
        "features_topic_daily",
        "theta_mean",
        "Same as theta_estimate, under the name that two readers ask for. [logit]",
        "Same as theta_estimate, under the name that two other readers use. [logit]",
    ),
    (
        "prophet_fit_meta",
        None,
        "One row a series and week: forecast, changepoints, and how it fares beside a naive baseline.",
        "One row for each series and week: forecast, changepoints, and the comparison with a naive baseline.",
    ),
    (
        "prophet_fit_meta",
        "user_id",
        "NULL: the series is the whole cohort's.",
        "NULL: the series is that of the whole cohort.",
    ),
    ("prophet_fit_meta", "lookback_weeks", "Closed weeks that the series reaches back.", "Closed weeks in the series."),
    (
        "prophet_fit_meta",
        "anomaly_threshold",
        "A week is an anomaly from this |z| on.",
        "A week is an anomaly if |z| is at least this.",
    ),
    (
        "prophet_anomalies",
        None,
        "Weeks whose value lay at least anomaly_threshold from a forecast made without them.",
        "Weeks whose value is at least anomaly_threshold from a forecast made without them.",
    ),
    ("prophet_anomalies", "week_start", "Monday of the week that lay far off.", "Monday of the anomalous week."),
    ("prophet_anomalies", "value", "What it was.", "Observed value."),
    (
        "prophet_anomalies",
        "anomaly_score",
        "Signed z: value less expectation, over the SD of such errors in the other weeks.",
        "Signed z: value minus expectation, divided by the SD of such errors in the other weeks.",
    ),
    (
        "growth_glmm_meta",
        None,
        "One row a mixed model of growth, fitted by lme4: what was fitted, on what, and how well.",
        "One row for each mixed model of growth by lme4: the model, its data, and its fit.",
    ),
    (
        "growth_brms_meta",
        None,
        "One row a Bayesian growth fit, whichever backend drew it; a bad fit is stored and feeds nothing.",
        "One row for each Bayesian growth fit of any backend. An unusable fit is stored and feeds nothing.",
    ),
    (
        "growth_brms_meta",
        "priors",
        "Priors that the fit was given: {intercept, week, sd, sigma, cor}.",
        "Priors of the fit: {intercept, week, sd, sigma, cor}.",
    ),
    (
        "growth_prediction",
        None,
        "What the usable growth fit of a week says of each student: line, projected score, chance of the goal.",
        "Prediction of the usable growth fit of a week for each student: line, projected score, probability of the goal.",
    ),
    (
        "growth_prediction",
        "slope_mean",
        "Posterior mean of the gain a week. [score/week]",
        "Posterior mean of the gain per week. [score/week]",
    ),
    ("growth_prediction", "target", "Score that p is about. [score]", "Score of the goal. [score]"),
    ("growth_prediction", "target_level", "The same as an ability. [logit]", "The goal as an ability. [logit]"),
    (
        "growth_prediction",
        "horizon_source",
        "'goal_date', 'goal_date_capped' (further than a line may be followed) or 'configured'.",
        "'goal_date', 'goal_date_capped' (further ahead than a line is valid) or 'configured'.",
    ),
    ("growth_prediction", "n_answers", "Answers behind them.", "Answers behind the weekly scores."),
    (
        "report_artifacts",
        None,
        "Weekly reports in the object store; one row a student, week and format.",
        "Weekly reports in the object store; one row for each student, week and format.",
    ),
    (
        "report_artifacts",
        "generated_at",
        "When the file was last made anew.",
        "When the content of the file last changed.",
    ),
    ("report_artifacts", "renderer", "What rendered it: 'quarto' or 'embedded'.", "Renderer: 'quarto' or 'embedded'."),
    (
        "segment_meta",
        None,
        "One row a segmentation: how many segments, why so many, and how good they are.",
        "One row for each segmentation: the number of segments, the reason for it, and their quality.",
    ),
    (
        "segment_profile",
        "segment_description",
        "What sets it apart, in one sentence.",
        "One sentence that distinguishes the segment.",
    ),
    (
        "segment_profile",
        "is_new",
        "No segment of the run before is the same.",
        "No segment of the previous run matches.",
    ),
    (
        "segment_profile",
        "moved",
        "Scaled distance from its centre in the run before.",
        "Scaled distance from its centre in the previous run.",
    ),
    ("user_segment", "confidence", "How clearly the student is in it.", "Confidence of the assignment, 0 to 1."),
    (
        "exam_results",
        "session_id",
        "Session that the exam was taken in; one result a session.",
        "Session of the exam; one result for each session.",
    ),
    (
        "exam_results",
        "status",
        "'ready' or 'failed'; failed exams count nowhere.",
        "'ready' or 'failed'; failed exams do not count.",
    ),
    (
        "interest_goal",
        "target_date",
        "Day by which the goal is to be reached; NULL: no day is set.",
        "Day by which the goal should be reached; NULL if no day is set.",
    ),
)
"""Table, column (None: the table itself), old comment, new comment."""


def upgrade() -> None:
    replace_comments(op, COMMENTS)


def downgrade() -> None:
    replace_comments(op, [(table, column, new, old) for table, column, old, new in COMMENTS])
