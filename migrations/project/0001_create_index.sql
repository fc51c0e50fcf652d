-- One project's index: repositories, their files, the files' chunks, and the chunks' vectors.

CREATE EXTENSION IF NOT EXISTS vector;

CREATE TABLE repositories (
    id              UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    path            TEXT NOT NULL UNIQUE,
    name            TEXT NOT NULL,
    created_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_indexed_at TIMESTAMPTZ
);

-- The ledger: every file that was walked is indexed, skipped or failed, and says why.
CREATE TABLE code_files (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repository_id UUID NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    relative_path TEXT NOT NULL,
    outcome       TEXT NOT NULL CHECK (outcome IN ('indexed', 'skipped', 'failed')),
    reason        TEXT,
    detail        TEXT,
    content_hash  BYTEA CHECK (octet_length(content_hash) = 32),
    size_bytes    BIGINT,
    language      TEXT,
    modified_at   TIMESTAMPTZ,
    indexed_at    TIMESTAMPTZ NOT NULL DEFAULT now(),
    deleted_at    TIMESTAMPTZ,
    UNIQUE (repository_id, relative_path),
    CHECK ((outcome = 'indexed') = (reason IS NULL)),
    CHECK (outcome <> 'indexed' OR content_hash IS NOT NULL)
);

CREATE TABLE code_chunks (
    id           UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    file_id      BIGINT NOT NULL REFERENCES code_files (id) ON DELETE CASCADE,
    ordinal      INTEGER NOT NULL CHECK (ordinal >= 0),
    content      TEXT NOT NULL,
    -- Of what is embedded: the content below its symbol.
    content_hash BYTEA NOT NULL CHECK (octet_length(content_hash) = 32),
    start_line   INTEGER NOT NULL CHECK (start_line >= 1),
    end_line     INTEGER NOT NULL,
    kind         TEXT NOT NULL,
    symbol       TEXT,
    UNIQUE (file_id, ordinal),
    CHECK (end_line >= start_line)
);
CREATE INDEX code_chunks_content_hash ON code_chunks (content_hash);

-- Vectors of different models never meet: each vector belongs to the model that made it.
CREATE TABLE embedding_models (
    id           INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         TEXT NOT NULL,
    version      TEXT NOT NULL,
    dimension    INTEGER NOT NULL CHECK (dimension BETWEEN 1 AND 4000),
    weights_hash TEXT NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    UNIQUE (name, version, dimension, weights_hash)
);

-- A cache by content: a renamed file or a second copy of it costs no embedding. `vector` is null for
-- text in which the model knows no token.
CREATE TABLE embeddings (
    model_id     INTEGER NOT NULL REFERENCES embedding_models (id) ON DELETE CASCADE,
    content_hash BYTEA NOT NULL CHECK (octet_length(content_hash) = 32),
    vector       HALFVEC,
    PRIMARY KEY (model_id, content_hash)
);
