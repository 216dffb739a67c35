-- What the store keeps. Every row comes from a journal line (store/events/apply.py), so all of it can be rebuilt.

CREATE TABLE IF NOT EXISTS studies (
    id VARCHAR PRIMARY KEY,
    name VARCHAR NOT NULL,
    spec JSON NOT NULL,            -- engine.spec.study.StudySpec as a dict
    domains VARCHAR[],             -- in the order of every list of shares; NULL until planned
    metrics JSON,                  -- [engine.spec.objectives.Objective], in the order of every list of losses; NULL: the
                                   -- loss of each domain
    corpus JSON,                   -- of those domains, the tokens there are, where that is known
    imported JSON,                 -- where runs that were trained elsewhere come from (engine/studies/imports.py); else NULL
    state VARCHAR NOT NULL,        -- active | paused | cancelled | failed
    message VARCHAR,               -- why it cannot go on, in words for people
    created_at DOUBLE NOT NULL     -- seconds since 1970
);
-- Files of version 0.1 lack these two.
ALTER TABLE studies ADD COLUMN IF NOT EXISTS metrics JSON;
ALTER TABLE studies ADD COLUMN IF NOT EXISTS imported JSON;
-- How people filed it (engine/jobs/housekeeping.py); NULL: never said.
ALTER TABLE studies ADD COLUMN IF NOT EXISTS note VARCHAR;
ALTER TABLE studies ADD COLUMN IF NOT EXISTS tags VARCHAR[];
ALTER TABLE studies ADD COLUMN IF NOT EXISTS pinned BOOLEAN;
ALTER TABLE studies ADD COLUMN IF NOT EXISTS archived BOOLEAN;

-- Studies that somebody deleted, and the jobs whose folders went with them.
CREATE TABLE IF NOT EXISTS deleted_studies (
    id VARCHAR NOT NULL, name VARCHAR NOT NULL, jobs VARCHAR[] NOT NULL, t DOUBLE NOT NULL, by_whom VARCHAR
);

CREATE TABLE IF NOT EXISTS jobs (
    id VARCHAR PRIMARY KEY,
    study VARCHAR,                 -- NULL: belongs to no study (a corpus)
    kind VARCHAR NOT NULL,         -- engine/jobs/kinds.py lists them
    spec JSON NOT NULL,
    state VARCHAR NOT NULL,        -- queued | running | paused | done | failed | cancelled
    priority DOUBLE,               -- lower runs sooner
    attempts INTEGER NOT NULL DEFAULT 0,
    done DOUBLE, total DOUBLE, note VARCHAR,
    message VARCHAR,               -- why it failed, in words for people
    planned_at DOUBLE NOT NULL,
    started_at DOUBLE, ended_at DOUBLE,
    attempt_at DOUBLE, host VARCHAR, -- when and where the last attempt began
    tokens_per_second DOUBLE,      -- of the whole job, as last measured
    asked VARCHAR, asked_by VARCHAR, asked_at DOUBLE -- cancel | retry: what somebody asked for last, who and when
);
-- Of a database from 0.1.0, which lacked them.
ALTER TABLE jobs ADD COLUMN IF NOT EXISTS priority DOUBLE;
ALTER TABLE jobs ADD COLUMN IF NOT EXISTS attempt_at DOUBLE;
ALTER TABLE jobs ADD COLUMN IF NOT EXISTS host VARCHAR;
ALTER TABLE jobs ADD COLUMN IF NOT EXISTS tokens_per_second DOUBLE;
ALTER TABLE jobs ADD COLUMN IF NOT EXISTS asked VARCHAR;
ALTER TABLE jobs ADD COLUMN IF NOT EXISTS asked_by VARCHAR;
ALTER TABLE jobs ADD COLUMN IF NOT EXISTS asked_at DOUBLE;

CREATE TABLE IF NOT EXISTS runs (
    id VARCHAR PRIMARY KEY,
    study VARCHAR NOT NULL,
    number INTEGER NOT NULL,       -- 1, 2, ... within the study
    role VARCHAR NOT NULL,         -- design | baseline | repeat | imported | proposed | confirm | carried | expert |
                                   -- reference | mirror (a merge at the shares of a mixture) | search | learned | submitted
                                   -- | dose (a mixture again, with a domain's text cut)
                                   -- | phased (with another mixture in each phase: engine/spec/phases.py)
                                   -- | start (a saved proxy as it is, untrained: engine/spec/starts.py)
    label VARCHAR,                 -- 'natural', 'uniform', ...: what a baseline is called; the caller's
                                   -- own id of a submitted run
    weights DOUBLE[] NOT NULL,     -- in the order of the study's domains
    seed BIGINT,                   -- NULL: an imported run that does not tell
    job VARCHAR,
    state VARCHAR NOT NULL,        -- planned | running | done | diverged | refused | failed | cancelled | stopped (early)
    step INTEGER, steps INTEGER,
    losses DOUBLE[],               -- in the order and units of the study's metrics; NULL where one is missing
    losses_se DOUBLE[],            -- standard error over validation windows
    shares DOUBLE[],               -- what the proxy really saw
    tokens BIGINT, seconds DOUBLE, cpu_seconds DOUBLE, device VARCHAR, parameters BIGINT,
    message VARCHAR,
    fidelity JSON                  -- engine.spec.fidelity.Fidelity; NULL: the study's own
);
ALTER TABLE runs ADD COLUMN IF NOT EXISTS fidelity JSON;
ALTER TABLE runs ADD COLUMN IF NOT EXISTS doses DOUBLE[]; -- the part of each domain's text that it saw; NULL: all
ALTER TABLE runs ADD COLUMN IF NOT EXISTS phases DOUBLE[][]; -- the shares of each phase; NULL: the same in all
ALTER TABLE runs ADD COLUMN IF NOT EXISTS trunk VARCHAR; -- the run that it is a copy of until the last phase
ALTER TABLE runs ADD COLUMN IF NOT EXISTS reported_at DOUBLE; -- when its results came from elsewhere; NULL: they did not
ALTER TABLE runs ALTER COLUMN seed DROP NOT NULL;

-- Append-only: after a resume the same step may stand twice; readers take the later line.
CREATE TABLE IF NOT EXISTS curve (
    run VARCHAR NOT NULL, step INTEGER NOT NULL, tokens BIGINT NOT NULL,
    loss DOUBLE,                   -- training loss, bits per byte
    tokens_per_second DOUBLE,      -- of the whole stacked group
    t DOUBLE NOT NULL
);
CREATE TABLE IF NOT EXISTS evaluations (
    run VARCHAR NOT NULL, tokens BIGINT NOT NULL, losses DOUBLE[] NOT NULL, t DOUBLE NOT NULL
);

CREATE TABLE IF NOT EXISTS corpora (
    name VARCHAR PRIMARY KEY, spec JSON NOT NULL, manifest JSON, created_at DOUBLE NOT NULL
);
ALTER TABLE corpora ADD COLUMN IF NOT EXISTS private BOOLEAN;

CREATE TABLE IF NOT EXISTS leagues (
    study VARCHAR NOT NULL, fingerprint VARCHAR NOT NULL, runs INTEGER NOT NULL,
    league JSON NOT NULL, t DOUBLE NOT NULL,
    PRIMARY KEY (study, fingerprint)
);

-- What jobs found out (engine.jobs.events.Result): searches, proposals, merges that were searched or learned, ...
CREATE TABLE IF NOT EXISTS results (
    job VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,         -- of the event: search.finished, ...
    study VARCHAR NOT NULL,
    settings JSON NOT NULL,        -- the question
    found JSON NOT NULL,           -- the answer
    t DOUBLE NOT NULL,
    PRIMARY KEY (job, kind)
);

-- What lm-evaluation-harness measured on a model (engine/spec/kinds/harness.py).
CREATE TABLE IF NOT EXISTS harness_results (
    job VARCHAR PRIMARY KEY,
    study VARCHAR,                 -- of a proxy; NULL: a language model
    model VARCHAR NOT NULL,        -- its path in the workspace
    tasks VARCHAR[] NOT NULL,
    most_items BIGINT,             -- of each task; NULL: all
    found JSON NOT NULL,           -- engine.spec.kinds.harness.HarnessFound
    t DOUBLE NOT NULL
);

-- What people are told once: a study has ended, or needs them.
CREATE TABLE IF NOT EXISTS notices (
    id VARCHAR PRIMARY KEY, study VARCHAR NOT NULL,
    outcome VARCHAR NOT NULL,      -- finished | failed | mention | decision
    text VARCHAR NOT NULL, t DOUBLE NOT NULL,
    told_at DOUBLE, trouble VARCHAR -- by the webhook: when, or why never
);

-- Points that somebody nominated (engine/review/freeze.py).
CREATE TABLE IF NOT EXISTS candidates (
    id VARCHAR PRIMARY KEY,        -- begins the SHA-256 of `frozen`: who changes a word of it makes another candidate
    study VARCHAR NOT NULL, name VARCHAR NOT NULL, author VARCHAR NOT NULL,
    frozen VARCHAR NOT NULL,       -- JSON: the point, what was predicted there and by what
    t DOUBLE NOT NULL
);

-- Who said and did what, in the order of the owner's journal; nothing is ever taken back.
CREATE TABLE IF NOT EXISTS reviews (
    n BIGINT PRIMARY KEY, study VARCHAR NOT NULL,
    candidate VARCHAR,             -- NULL: about the study (its rules)
    what VARCHAR NOT NULL,         -- put | comment | vote | decision | rules | confirm
    author VARCHAR NOT NULL, body JSON NOT NULL, t DOUBLE NOT NULL
);

-- Lines of `reviews` that somebody has read in their inbox.
CREATE TABLE IF NOT EXISTS inbox_read (person VARCHAR NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (person, n));

-- What was predicted of runs before they were measured (engine/jobs/ledger.py), and what of it was not changed since.
CREATE TABLE IF NOT EXISTS predictions (
    hash VARCHAR PRIMARY KEY,      -- SHA-256 of the rest, without study, t and by_whom
    study VARCHAR NOT NULL, run VARCHAR NOT NULL,
    origin VARCHAR NOT NULL,       -- confirm | proposed | submitted
    surrogate VARCHAR NOT NULL, fit VARCHAR NOT NULL,
    weights DOUBLE[] NOT NULL, mean DOUBLE[] NOT NULL, std DOUBLE[] NOT NULL,
    aggregate DOUBLE NOT NULL, aggregate_std DOUBLE NOT NULL,
    reference DOUBLE[], gap DOUBLE, gap_std DOUBLE,
    distance DOUBLE, place VARCHAR,
    candidate VARCHAR, predicted_by VARCHAR, predicted_at DOUBLE,
    t DOUBLE NOT NULL, by_whom VARCHAR
);

-- What new sources were predicted to be worth, before a proxy saw them (engine/jobs/ledger.py).
CREATE TABLE IF NOT EXISTS source_prices (
    hash VARCHAR NOT NULL,         -- as in predictions
    study VARCHAR NOT NULL, corpus VARCHAR NOT NULL, domain VARCHAR NOT NULL,
    text VARCHAR NOT NULL,         -- the hash of its training text
    share DOUBLE NOT NULL, candidate VARCHAR NOT NULL, mixture DOUBLE[] NOT NULL, weights DOUBLE[] NOT NULL,
    change DOUBLE NOT NULL, std DOUBLE NOT NULL, half DOUBLE NOT NULL, noise DOUBLE NOT NULL,
    settled DOUBLE NOT NULL, distance DOUBLE NOT NULL, verdict VARCHAR NOT NULL, runs BIGINT NOT NULL,
    t DOUBLE NOT NULL, by_whom VARCHAR,
    PRIMARY KEY (study, hash)      -- a copy of a study predicts the same
);

-- How far each journal has been read, in bytes; written in the transaction of the rows it brought.
CREATE TABLE IF NOT EXISTS journals (name VARCHAR PRIMARY KEY, read_to BIGINT NOT NULL);
-- Lines that were not applied: damaged, of an unknown kind, or not what their kind should be.
CREATE TABLE IF NOT EXISTS corrupt_lines (
    journal VARCHAR NOT NULL, read_from BIGINT NOT NULL, text VARCHAR NOT NULL,
    reason VARCHAR                 -- in words for people
);
ALTER TABLE corrupt_lines ADD COLUMN IF NOT EXISTS reason VARCHAR;

-- Tokens of the HTTP API (engine/service/api_tokens.py).
CREATE TABLE IF NOT EXISTS api_tokens (
    id VARCHAR PRIMARY KEY,
    person VARCHAR NOT NULL,       -- whom it acts for
    local BOOLEAN NOT NULL,        -- that was whoever sat at this machine, and no e-mail
    role VARCHAR NOT NULL,         -- the most that it may do
    label VARCHAR NOT NULL,        -- what it is for, in its maker's words
    hash VARCHAR NOT NULL,         -- of the secret part, keyed with the workspace's secret
    created_at DOUBLE NOT NULL, expires_at DOUBLE, revoked_at DOUBLE,
    used_at DOUBLE                 -- to about an hour
);
ALTER TABLE api_tokens ADD COLUMN IF NOT EXISTS groups VARCHAR[]; -- of its person, when it was made

-- Sign-ins that somebody ended by signing out, before their time was over (engine/core/sign_in.py).
CREATE TABLE IF NOT EXISTS ended_sign_ins (id VARCHAR PRIMARY KEY, t DOUBLE NOT NULL);

-- Requests with a key, so that one sent again is answered and not done again (engine/commands/idempotency.py).
CREATE TABLE IF NOT EXISTS requests (key VARCHAR PRIMARY KEY, asked VARCHAR NOT NULL, answer VARCHAR, t DOUBLE NOT NULL);
