-- The newest shapes: text runs, one risk a student, drift tables with numbered items.
CREATE TABLE student_topic_theta (
    user_id text NOT NULL, topic_id text NOT NULL, theta double precision NOT NULL, se double precision, model text NOT NULL,
    version text, fitted_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (user_id, topic_id)
);
INSERT INTO student_topic_theta VALUES ('gone', 'algebra', 0.25, 0.5, '2PL', 'v1', '2026-01-04');

CREATE TABLE survival_fit_meta (
    run_id text PRIMARY KEY, formula text NOT NULL, coefficients jsonb NOT NULL DEFAULT '{}',
    hazard_ratios jsonb NOT NULL DEFAULT '{}', fitted_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO survival_fit_meta (run_id, formula) VALUES ('survival-1', 'Surv(t, event) ~ A_t');
CREATE TABLE survival_risk (
    user_id text PRIMARY KEY, risk_score double precision NOT NULL CHECK (risk_score BETWEEN 0 AND 1),
    hazard_ratio double precision, rank_percentile double precision CHECK (rank_percentile BETWEEN 0 AND 1),
    updated_at timestamptz
);
INSERT INTO survival_risk VALUES ('gone', 0.6, 1.2, 0.9, '2026-01-04');

CREATE TABLE prophet_fit_meta (
    run_id text PRIMARY KEY, metric text NOT NULL, changepoints jsonb DEFAULT '[]', forecast jsonb, fit_meta jsonb,
    fitted_at timestamptz, user_id text, lookback_weeks integer, horizon_weeks integer, anomaly_threshold double precision
);
INSERT INTO prophet_fit_meta (run_id, metric, forecast, fitted_at) VALUES ('prophet-1', 'I_t', '[]', '2026-01-04');
CREATE TABLE prophet_anomalies (
    run_id text NOT NULL, week_start date NOT NULL, metric text NOT NULL, value double precision, expected double precision,
    anomaly_score double precision, detected_at timestamptz DEFAULT now(), PRIMARY KEY (run_id, week_start, metric)
);
INSERT INTO prophet_anomalies (run_id, week_start, metric, value) VALUES ('prophet-1', '2025-12-29', 'I_t', 0.9);

CREATE TABLE drift_windows (
    id bigserial PRIMARY KEY, start_at timestamptz NOT NULL, end_at timestamptz NOT NULL, population_tags jsonb,
    created_at timestamptz DEFAULT now()
);
INSERT INTO drift_windows (start_at, end_at) VALUES ('2025-11-01', '2025-12-01');
CREATE TABLE item_calibration (
    id bigserial PRIMARY KEY, item_id bigint NOT NULL, window_id bigint NOT NULL, a_hat double precision NOT NULL,
    b_hat double precision NOT NULL, c_hat double precision NOT NULL, a_l95 double precision, a_u95 double precision,
    b_l95 double precision, b_u95 double precision, c_l95 double precision, c_u95 double precision, n integer, dif jsonb,
    info jsonb, run_id text, created_at timestamptz DEFAULT now()
);
INSERT INTO item_calibration (item_id, window_id, a_hat, b_hat, c_hat, n, run_id) VALUES (12, 1, 1, 0, 0.2, 300, 'drift-1');
CREATE TABLE drift_alerts (
    id bigserial PRIMARY KEY, item_id bigint NOT NULL, window_id bigint NOT NULL, metric text NOT NULL,
    value double precision, threshold double precision, severity text, run_id text, resolved_at timestamptz,
    created_at timestamptz DEFAULT now()
);
INSERT INTO drift_alerts (item_id, window_id, metric, value, threshold, severity) VALUES (12, 1, 'delta_b', 0.4, 0.25, 'moderate');
