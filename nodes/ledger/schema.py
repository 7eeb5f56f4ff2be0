"""The tables of the ledger, and the steps from each version to the next."""

from __future__ import annotations

from collections.abc import Sequence

APPLICATION_ID = 0x57414E32
"""Marks the file as ours ("WAN2"), so that no other program's database is ever written to."""

Migration = Sequence[str]
"""SQL statements that lead from one version to the next, run in one transaction."""

_VERSION_1: Migration = (
    """
    CREATE TABLE tasks (
        id INTEGER PRIMARY KEY,
        fingerprint TEXT NOT NULL,              -- '' where the task was adopted by its id
        state TEXT NOT NULL
            CHECK (state IN ('intent', 'submitted', 'succeeded', 'saved', 'failed', 'unknown')),
        task_id TEXT,
        service TEXT NOT NULL,
        connection TEXT NOT NULL,
        base_url TEXT NOT NULL,
        request TEXT NOT NULL DEFAULT '{}',     -- JSON without secrets, media by content
        estimate REAL,                          -- USD, NULL where unknown
        counted INTEGER NOT NULL,               -- 1: uses up the budget
        run_id TEXT NOT NULL DEFAULT '',
        prompt_id TEXT NOT NULL DEFAULT '',
        node_id TEXT NOT NULL DEFAULT '',
        owner TEXT NOT NULL,                    -- the process that takes care of it
        reason TEXT NOT NULL DEFAULT '',        -- why it failed or is unknown
        seed INTEGER,
        result_url TEXT,
        result_expires_at REAL,
        file TEXT,                              -- below the output folder, with slashes
        file_size INTEGER,
        file_sha256 TEXT,
        video TEXT NOT NULL DEFAULT '{}',       -- JSON: seconds, size, fps as read from the file
        created_at REAL NOT NULL,               -- all times in seconds since 1970
        post_started_at REAL,
        submitted_at REAL,
        executed_at REAL,
        completed_at REAL,
        saved_at REAL
    )
    """,
    "CREATE INDEX tasks_by_fingerprint ON tasks (fingerprint, id)",
    "CREATE INDEX tasks_by_task_id ON tasks (task_id, service)",
    "CREATE INDEX tasks_by_state ON tasks (state, created_at)",
    "CREATE INDEX tasks_by_day ON tasks (counted, created_at)",
    "CREATE INDEX tasks_by_run ON tasks (run_id, counted)",
    """
    CREATE TABLE uploads (
        url_hash TEXT PRIMARY KEY,              -- SHA-256 of the URL
        url TEXT NOT NULL,                      -- '' for a data URI, whose content is in the request anyway
        sha256 TEXT NOT NULL,
        kind TEXT NOT NULL,
        storage TEXT NOT NULL,
        expires_at REAL,                        -- NULL: does not end
        seconds REAL,                           -- length of sound or clip
        created_at REAL NOT NULL
    )
    """,
    "CREATE INDEX uploads_by_content ON uploads (sha256, storage, created_at)",
)

_VERSION_2: Migration = (
    # Of earlier uploads and tasks only the files are known. A request that makes the same file is found by that.
    "ALTER TABLE uploads ADD COLUMN content TEXT NOT NULL DEFAULT ''",  # decoded media, whichever encoder
    "UPDATE uploads SET content = sha256",
    "ALTER TABLE tasks ADD COLUMN file_fingerprint TEXT NOT NULL DEFAULT ''",  # media by the bytes of their files
    "UPDATE tasks SET file_fingerprint = fingerprint",
    "CREATE INDEX tasks_by_file_fingerprint ON tasks (file_fingerprint, id)",
)

_VERSION_3: Migration = (
    """
    CREATE TABLE balances (
        id INTEGER PRIMARY KEY,
        service TEXT NOT NULL,
        account TEXT NOT NULL,                  -- a short hash; tells the accounts of one service apart
        available_usd REAL NOT NULL,
        at REAL NOT NULL                        -- when the service was asked
    )
    """,
    "CREATE INDEX balances_by_account ON balances (service, account, at)",
    # JSON: what the host wants to be kept beside the task id to ask for the task, such as the URLs it answered.
    "ALTER TABLE tasks ADD COLUMN handle TEXT NOT NULL DEFAULT '{}'",
)

_VERSION_4: Migration = (
    # 1: taken off the list in the panel. The record counts all the same: it keeps its request from being sent again.
    "ALTER TABLE tasks ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0",
    # Requests are long. The list is filtered and counted, and the totals of a day are added up, without reading them.
    "CREATE INDEX tasks_by_list ON tasks (hidden, state, connection, created_at)",
    "CREATE INDEX tasks_by_time ON tasks (created_at, connection, counted, estimate, state, post_started_at, task_id)",
)

MIGRATIONS: tuple[Migration, ...] = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4)
"""Step i leads from version i to i + 1; version 0 is an empty file. Published steps never change, comments included:
SQLite stores the text that created a table."""
