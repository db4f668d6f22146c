-- Fencing in PostgreSQL: a former goose's transaction fails, and one that is
-- under way is waited for. Run this once; then begin each transaction that acts with
--
--   SELECT fence('reports', flock_id, token);
--
-- with DDGOOSE_FLOCK_ID and DDGOOSE_TOKEN. It raises an error (SQLSTATE 55F01) when
-- a newer token, or another flock's, has been seen.

CREATE TABLE fence (
    name     text   PRIMARY KEY, -- of what is protected
    flock_id text   NOT NULL,
    token    bigint NOT NULL     -- the highest seen
);

CREATE FUNCTION fence(what text, flock text, newest bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    seen fence%ROWTYPE;
BEGIN
    -- The row stays locked until this transaction ends: two that act cannot
    -- overlap, and the older one is refused if the newer one came first.
    INSERT INTO fence VALUES (what, flock, newest)
    ON CONFLICT (name) DO UPDATE SET token = excluded.token
        WHERE fence.flock_id = excluded.flock_id AND fence.token <= excluded.token;
    IF NOT FOUND THEN
        SELECT * INTO seen FROM fence WHERE name = what;
        RAISE EXCEPTION 'token % of flock % is refused: token % of flock % has been seen',
            newest, flock, seen.token, seen.flock_id USING ERRCODE = '55F01';
    END IF;
END $$;
