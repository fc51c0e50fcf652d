-- The registry: which projects exist, and what is being indexed for them.

CREATE TABLE projects (
    id            UUID PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE CHECK (name ~ '^[a-zA-Z0-9_ -]{1,255}$'),
    description   TEXT,
    database_name TEXT NOT NULL UNIQUE CHECK (database_name ~ '^cb_proj_[a-z0-9_]{1,30}_[a-f0-9]{8}$'),
    metadata      JSONB NOT NULL DEFAULT '{}',
    created_at    TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at    TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE indexing_jobs (
    id             UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id     UUID NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    repo_path      TEXT NOT NULL,
    force_reindex  BOOLEAN NOT NULL DEFAULT false,
    status         TEXT NOT NULL DEFAULT 'pending'
                   CHECK (status IN ('pending', 'running', 'completed', 'failed')),
    phase          TEXT,
    error_code     TEXT,
    error_message  TEXT,
    files_scanned  BIGINT NOT NULL DEFAULT 0,
    files_indexed  BIGINT NOT NULL DEFAULT 0,
    files_unchanged BIGINT NOT NULL DEFAULT 0,
    files_skipped  BIGINT NOT NULL DEFAULT 0,
    files_failed   BIGINT NOT NULL DEFAULT 0,
    chunks_created BIGINT NOT NULL DEFAULT 0,
    created_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
    started_at     TIMESTAMPTZ,
    completed_at   TIMESTAMPTZ,
    -- The last sign of life of the process that owns the job.
    heartbeat_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    CHECK (status <> 'failed' OR error_message IS NOT NULL),
    CHECK ((status IN ('completed', 'failed')) = (completed_at IS NOT NULL))
);

-- A repository is indexed by one job at a time.
CREATE UNIQUE INDEX one_active_job_per_repository
    ON indexing_jobs (project_id, repo_path) WHERE status IN ('pending', 'running');
CREATE INDEX indexing_jobs_created_at ON indexing_jobs (created_at DESC);
