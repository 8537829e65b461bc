-- What jobs made by themselves, integer ids, and tables beside the platform's: schema shared_irt and the R service's.
CREATE TABLE survival_fit_meta (
    id bigserial PRIMARY KEY, run_id uuid, family text, event_threshold_days integer, coefficients jsonb,
    concordance double precision, n integer, survival_curve jsonb, run_at timestamptz
);
INSERT INTO survival_fit_meta (run_id, family, event_threshold_days) VALUES
    (NULL, 'cox', 14), ('00000000-0000-0000-0000-00000000000a', 'cox', 14), ('00000000-0000-0000-0000-00000000000a', 'cox', 21);
CREATE TABLE survival_risk (
    id bigserial PRIMARY KEY, run_id uuid, user_id text NOT NULL, risk_score double precision NOT NULL,
    hazard_ratio double precision, rank_percentile double precision, updated_at timestamptz
);
INSERT INTO survival_risk (user_id, risk_score, rank_percentile) VALUES ('gone', 0.6, 1.5);
CREATE TABLE user_segment (
    user_id text PRIMARY KEY, segment_label text, features_snapshot jsonb, assigned_at timestamptz
);
INSERT INTO user_segment VALUES ('gone', 'long_rare', '{"gap": 9}', '2026-01-04');
CREATE TABLE segment_meta (
    run_id text PRIMARY KEY, method text, n_clusters integer, centers jsonb, metrics jsonb, fitted_at timestamptz
);
INSERT INTO segment_meta VALUES ('cluster-1', 'kmeans', 3, '[]', '{}', '2026-01-04');
CREATE TABLE growth_glmm_meta (
    run_id text PRIMARY KEY, model_spec jsonb NOT NULL, metrics jsonb NOT NULL, fitted_at timestamptz NOT NULL
);
INSERT INTO growth_glmm_meta VALUES ('glmm-1', '{}', '{}', '2026-01-04');
CREATE TABLE growth_brms_meta (
    run_id text PRIMARY KEY, formula text NOT NULL, priors jsonb, posterior_summary jsonb, diagnostics jsonb,
    fitted_at timestamptz
);
INSERT INTO growth_brms_meta (run_id, formula) VALUES ('brms-1', 'score ~ week');
CREATE TABLE drift_windows (
    id integer PRIMARY KEY, start_at timestamptz NOT NULL, end_at timestamptz NOT NULL, population_tags jsonb,
    created_at timestamptz
);
INSERT INTO drift_windows VALUES (1, '2025-11-01', '2025-12-01');

CREATE SCHEMA shared_irt;
CREATE TABLE shared_irt.drift_alerts (id bigserial PRIMARY KEY, metric text, value double precision);
INSERT INTO shared_irt.drift_alerts (metric, value) VALUES ('b', 0.3);
CREATE TABLE irt_item_params_baseline (item_id text PRIMARY KEY, model text, a double precision, b double precision);
INSERT INTO irt_item_params_baseline VALUES ('12', '2PL', 1, 0);
CREATE TABLE responses (user_id text, item_id text, is_correct boolean, responded_at timestamptz);
INSERT INTO responses VALUES ('gone', '12', true, '2026-01-04');
