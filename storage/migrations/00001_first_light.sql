-- The first schema. Portable SQL for PostgreSQL and SQLite; times are Unix
-- seconds, UTC; keys are made by the application. See docs/architecture.md.

-- +goose Up

CREATE TABLE merchants (
    id        TEXT PRIMARY KEY,
    name      TEXT NOT NULL,
    kind      TEXT NOT NULL CHECK (kind IN ('clinic', 'feed')),
    time_zone TEXT NOT NULL,
    guests    TEXT NOT NULL DEFAULT '{}', -- JSON: whom it takes bookings from
    version   BIGINT NOT NULL CHECK (version > 0) -- of the catalogue
);

CREATE TABLE zones (
    merchant_id TEXT NOT NULL REFERENCES merchants (id),
    id          TEXT NOT NULL,
    position    INTEGER NOT NULL,
    name        TEXT NOT NULL,
    PRIMARY KEY (merchant_id, id)
);

CREATE TABLE groups (
    merchant_id               TEXT NOT NULL REFERENCES merchants (id),
    id                        TEXT NOT NULL,
    position                  INTEGER NOT NULL,
    title                     TEXT NOT NULL,
    interval_sec              BIGINT NOT NULL CHECK (interval_sec > 0),
    anchor_sec                BIGINT NOT NULL,
    start_date                TEXT NOT NULL, -- '' is any day
    same_day_close_buffer_sec BIGINT NOT NULL CHECK (same_day_close_buffer_sec >= 0),
    timetable                 TEXT,          -- JSON; NULL is always open
    closed_days               TEXT NOT NULL, -- JSON
    PRIMARY KEY (merchant_id, id)
);

CREATE TABLE group_zones (
    merchant_id TEXT NOT NULL,
    group_id    TEXT NOT NULL,
    zone_id     TEXT NOT NULL,
    position    INTEGER NOT NULL,
    capacity    INTEGER NOT NULL CHECK (capacity >= 0),
    enabled     BOOLEAN NOT NULL,
    PRIMARY KEY (merchant_id, group_id, zone_id),
    FOREIGN KEY (merchant_id, group_id) REFERENCES groups (merchant_id, id),
    FOREIGN KEY (merchant_id, zone_id) REFERENCES zones (merchant_id, id)
);

CREATE TABLE staff (
    merchant_id TEXT NOT NULL REFERENCES merchants (id),
    id          TEXT NOT NULL,
    position    INTEGER NOT NULL,
    name        TEXT NOT NULL,
    role        TEXT NOT NULL,
    exclusive   BOOLEAN NOT NULL,
    PRIMARY KEY (merchant_id, id)
);

CREATE TABLE services (
    merchant_id                      TEXT NOT NULL REFERENCES merchants (id),
    id                               TEXT NOT NULL,
    position                         INTEGER NOT NULL,
    name                             TEXT NOT NULL,
    group_id                         TEXT NOT NULL, -- '' at a feed's merchant
    duration_sec                     BIGINT NOT NULL,
    min_advance_booking_sec          BIGINT NOT NULL,
    min_advance_online_canceling_sec BIGINT NOT NULL,
    PRIMARY KEY (merchant_id, id)
);

-- What bears capacity. Never deleted: visits of the past are held on them.
CREATE TABLE resources (
    id               UUID PRIMARY KEY,
    merchant_id      TEXT NOT NULL REFERENCES merchants (id),
    kind             TEXT NOT NULL CHECK (kind IN ('lane', 'staff', 'published')),
    ref              TEXT NOT NULL,
    slot_seconds     BIGINT NOT NULL CHECK (slot_seconds > 0),
    anchor_sec       BIGINT NOT NULL,
    default_capacity INTEGER NOT NULL CHECK (default_capacity >= 0)
);
CREATE INDEX resources_merchant ON resources (merchant_id, kind);

-- offered is what the catalogue or the feed offers; capacity is that, or what
-- is taken where more has been sold before the offer shrank. The CHECK is the
-- net under everything: no slot is ever oversold.
CREATE TABLE slots (
    resource_id    UUID NOT NULL REFERENCES resources (id),
    start_sec      BIGINT NOT NULL,
    offered        INTEGER NOT NULL CHECK (offered >= 0),
    capacity       INTEGER NOT NULL,
    taken          INTEGER NOT NULL DEFAULT 0,
    generation_sec BIGINT NOT NULL DEFAULT 0, -- of the feed that published it last
    first_bookable_sec   BIGINT, -- what the feed says of this slot; NULL is nothing
    last_bookable_sec    BIGINT,
    last_cancellable_sec BIGINT,
    confirmation_mode    TEXT,
    PRIMARY KEY (resource_id, start_sec),
    CONSTRAINT slots_not_oversold CHECK (taken BETWEEN 0 AND capacity),
    CONSTRAINT slots_offer_kept CHECK (capacity >= offered)
);

CREATE TABLE guests (
    id             UUID PRIMARY KEY,
    merchant_id    TEXT NOT NULL,
    google_user_id TEXT NOT NULL,
    email          TEXT NOT NULL,
    phone          TEXT NOT NULL,
    given_name     TEXT NOT NULL,
    family_name    TEXT NOT NULL,
    created_sec    BIGINT NOT NULL
);

-- No foreign key: a key is claimed before it is known whose it is.
CREATE TABLE guest_keys (
    merchant_id TEXT NOT NULL,
    key         TEXT NOT NULL,
    guest_id    UUID NOT NULL,
    PRIMARY KEY (merchant_id, key)
);
CREATE INDEX guest_keys_key ON guest_keys (key); -- a guest's bookings at all merchants

CREATE TABLE bookings (
    id                    UUID PRIMARY KEY,
    schedule_id           TEXT NOT NULL,
    merchant_id           TEXT NOT NULL,
    service_id            TEXT NOT NULL,
    guest_id              UUID NOT NULL,
    state                 TEXT NOT NULL,
    version               BIGINT NOT NULL CHECK (version > 0),
    start_sec             BIGINT NOT NULL,
    end_sec               BIGINT NOT NULL,
    expires_sec           BIGINT NOT NULL, -- of a lease
    party_size            INTEGER NOT NULL,
    staff_id              TEXT NOT NULL,
    room_id               TEXT NOT NULL,
    availability_tag      TEXT NOT NULL,
    confirmation_mode     TEXT NOT NULL,
    contact               TEXT NOT NULL, -- JSON
    additional_request    TEXT NOT NULL,
    payment               TEXT,          -- JSON
    zone_id               TEXT NOT NULL,
    assignee              TEXT,          -- JSON
    consultation_required BOOLEAN,
    sedation_required     BOOLEAN,
    counselor             TEXT,          -- JSON
    funnel                TEXT,          -- JSON
    memo                  TEXT,
    requested_procedures  TEXT,          -- JSON
    connected_channel     TEXT,
    created_by            TEXT NOT NULL,
    created_sec           BIGINT NOT NULL,
    CHECK (start_sec < end_sec)
);
CREATE UNIQUE INDEX bookings_schedule ON bookings (merchant_id, schedule_id);
CREATE INDEX bookings_day ON bookings (merchant_id, start_sec);
CREATE INDEX bookings_leases ON bookings (expires_sec) WHERE state = 'HELD';
CREATE INDEX bookings_pending ON bookings (created_sec) WHERE state = 'PENDING';
CREATE INDEX bookings_guest ON bookings (guest_id, end_sec);

CREATE TABLE occupied_resources (
    booking_id         UUID NOT NULL REFERENCES bookings (id),
    seq                INTEGER NOT NULL,
    resource_id        UUID NOT NULL,
    group_id           TEXT NOT NULL,
    zone_id            TEXT NOT NULL,
    doctor_id          TEXT, -- NULL is no doctor
    doctor_name        TEXT,
    doctor_resource_id UUID,
    start_sec          BIGINT NOT NULL,
    end_sec            BIGINT NOT NULL,
    spots              INTEGER NOT NULL CHECK (spots > 0),
    PRIMARY KEY (booking_id, seq),
    CHECK (start_sec < end_sec)
);

-- Whose each taken spot is.
CREATE TABLE holds (
    booking_id  UUID NOT NULL REFERENCES bookings (id),
    resource_id UUID NOT NULL,
    start_sec   BIGINT NOT NULL,
    end_sec     BIGINT NOT NULL,
    spots       INTEGER NOT NULL CHECK (spots > 0),
    since_sec   BIGINT NOT NULL,
    PRIMARY KEY (booking_id, resource_id, start_sec),
    CHECK (start_sec < end_sec)
);
CREATE INDEX holds_resource ON holds (resource_id, start_sec);

-- No foreign key: the token is claimed before its booking is written.
CREATE TABLE idempotency_tokens (
    caller      TEXT NOT NULL,
    token       TEXT NOT NULL,
    fingerprint BYTEA NOT NULL,
    booking_id  UUID NOT NULL,
    created_sec BIGINT NOT NULL,
    PRIMARY KEY (caller, token)
);

CREATE TABLE booking_events (
    booking_id UUID NOT NULL REFERENCES bookings (id),
    version    BIGINT NOT NULL,
    at_sec     BIGINT NOT NULL,
    actor      TEXT NOT NULL,
    action     TEXT NOT NULL,
    before     TEXT NOT NULL, -- JSON
    after      TEXT NOT NULL, -- JSON
    PRIMARY KEY (booking_id, version)
);

-- What others have to be told: one row for each change of a booking, written
-- with it and marked when it has been delivered.
CREATE TABLE outbox (
    booking_id    UUID NOT NULL REFERENCES bookings (id),
    version       BIGINT NOT NULL,
    topic         TEXT NOT NULL,
    due_sec       BIGINT NOT NULL,
    attempts      INTEGER NOT NULL DEFAULT 0,
    delivered_sec BIGINT,
    PRIMARY KEY (booking_id, version)
);
CREATE INDEX outbox_due ON outbox (due_sec) WHERE delivered_sec IS NULL;

-- Secrets are stored as SHA-256 digests only.
CREATE TABLE clinic_keys (
    digest      BYTEA PRIMARY KEY,
    merchant_id TEXT NOT NULL REFERENCES merchants (id),
    created_sec BIGINT NOT NULL
);

CREATE TABLE clinic_tokens (
    digest      BYTEA PRIMARY KEY,
    merchant_id TEXT NOT NULL REFERENCES merchants (id),
    created_sec BIGINT NOT NULL,
    expires_sec BIGINT NOT NULL
);
CREATE INDEX clinic_tokens_expiry ON clinic_tokens (expires_sec);

-- Whether a Google user wants to hear from merchants.
CREATE TABLE marketing_preferences (
    google_user_id TEXT PRIMARY KEY,
    wanted         BOOLEAN NOT NULL,
    since_sec      BIGINT NOT NULL
);

-- The newest complete feed of each kind that was loaded.
CREATE TABLE feeds (
    kind           TEXT PRIMARY KEY,
    generation_sec BIGINT NOT NULL,
    loaded_sec     BIGINT NOT NULL
);
