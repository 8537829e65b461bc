-- The oldest shapes: numbered rows with UUID runs, topic abilities as numerics, drift tables with text items and integer ids.
CREATE TABLE student_topic_theta (
    user_id text NOT NULL, topic_id text NOT NULL, theta numeric, standard_error numeric,
    updated_at timestamptz NOT NULL, PRIMARY KEY (user_id, topic_id)
);
INSERT INTO student_topic_theta VALUES ('gone', 'algebra', 0.25, 0.5, '2026-01-04'), ('gone', 'unknown', NULL, NULL, '2026-01-04');

CREATE TABLE survival_fit_meta (
    id bigserial PRIMARY KEY, run_id uuid UNIQUE NOT NULL, family text NOT NULL, event_threshold_days integer NOT NULL,
    coefficients jsonb, concordance double precision, n integer, survival_curve jsonb, run_at timestamptz
);
INSERT INTO survival_fit_meta (run_id, family, event_threshold_days, coefficients, concordance, n, survival_curve, run_at)
VALUES ('00000000-0000-0000-0000-00000000000a', 'cox', 14, '{"A_t": 0.3}', 0.7, 20, '[{"t": 7, "S": 0.5}]', '2026-01-04');

CREATE TABLE survival_risk (
    id bigserial PRIMARY KEY, run_id uuid NOT NULL, user_id text NOT NULL, risk_score double precision NOT NULL,
    hazard_ratio double precision, rank_percentile double precision, updated_at timestamptz
);
INSERT INTO survival_risk (run_id, user_id, risk_score, updated_at) VALUES
    ('00000000-0000-0000-0000-00000000000a', 'gone', 0.4, '2026-01-03'),
    ('00000000-0000-0000-0000-00000000000a', 'gone', 0.6, '2026-01-04'),
    ('00000000-0000-0000-0000-00000000000a', 'unbounded', 3.5, '2026-01-04');
CREATE VIEW risks_of_today AS SELECT user_id, max(risk_score) AS risk_score FROM survival_risk GROUP BY user_id;

CREATE TABLE prophet_fit_meta (
    id bigserial PRIMARY KEY, run_id uuid UNIQUE NOT NULL, metric text NOT NULL, changepoints jsonb, forecast jsonb,
    fit_meta jsonb, run_at timestamptz
);
INSERT INTO prophet_fit_meta (run_id, metric, forecast, run_at)
VALUES ('00000000-0000-0000-0000-00000000000b', 'I_t', '[{"ds": "2026-01-05", "yhat": 0.1}]', '2026-01-04');
CREATE TABLE prophet_anomalies (
    id bigserial PRIMARY KEY, run_id uuid NOT NULL, week_start date NOT NULL, metric text NOT NULL, value double precision,
    expected double precision, anomaly_score double precision NOT NULL, detected_at timestamptz DEFAULT now(),
    UNIQUE (run_id, week_start, metric)
);
INSERT INTO prophet_anomalies (run_id, week_start, metric, value, expected, anomaly_score)
VALUES ('00000000-0000-0000-0000-00000000000b', '2025-12-29', 'I_t', 0.9, 0.1, 3.1);

CREATE TABLE items (
    id text PRIMARY KEY, a double precision, b double precision, c double precision, version text, is_anchor boolean,
    effective_from timestamptz, tags jsonb, created_at timestamptz, updated_at timestamptz
);
INSERT INTO items (id, a, b, c) VALUES ('12', 1, 0, 0.2), ('Q-ALPHA', 1.5, -0.5, NULL);
CREATE TABLE drift_windows (
    id serial PRIMARY KEY, start_at timestamptz NOT NULL, end_at timestamptz NOT NULL, population_tags jsonb,
    created_at timestamptz DEFAULT now()
);
INSERT INTO drift_windows (start_at, end_at) VALUES ('2025-11-01', '2025-12-01'), ('2025-12-01', '2026-01-01');
CREATE TABLE item_calibration (
    id serial PRIMARY KEY, item_id text NOT NULL REFERENCES items, window_id integer NOT NULL REFERENCES drift_windows,
    a_hat double precision NOT NULL, b_hat double precision NOT NULL, c_hat double precision NOT NULL,
    a_l95 double precision, a_u95 double precision, b_l95 double precision, b_u95 double precision,
    c_l95 double precision, c_u95 double precision, n integer, dif jsonb, info jsonb, run_id text,
    created_at timestamptz DEFAULT now(), UNIQUE (item_id, window_id)
);
INSERT INTO item_calibration (item_id, window_id, a_hat, b_hat, c_hat, n, run_id)
VALUES ('12', 1, 1, 0, 0.2, 300, 'drift-1'), ('Q-ALPHA', 1, 1.5, -0.5, 0.1, 250, 'drift-1'), ('12', 2, 1.1, 0.1, 0.2, 310, NULL);
CREATE TABLE drift_alerts (
    id serial PRIMARY KEY, item_id text REFERENCES items, window_id integer REFERENCES drift_windows, metric text NOT NULL,
    value double precision, threshold double precision, severity text CHECK (severity IN ('minor', 'moderate', 'severe')),
    run_id text, resolved_at timestamptz, created_at timestamptz DEFAULT now()
);
INSERT INTO drift_alerts (item_id, window_id, metric, value, threshold, severity, run_id)
VALUES ('Q-ALPHA', 2, 'delta_b', 0.4, 0.25, 'moderate', 'drift-1'), ('12', 2, 'delta_b', 0.3, 0.25, 'minor', 'drift-1');
