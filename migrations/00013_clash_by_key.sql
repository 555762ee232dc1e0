-- +goose Up

-- As before, looking each identity up by its key: a join that the planner may merge
-- reads every identity of the vault for every few that an object brings. OFFSET 0
-- keeps it from making one.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION vault.clash(codes text[], blinds bytea[]) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE
    WHEN EXISTS (SELECT FROM unnest(codes, blinds) q (code, blind) WHERE EXISTS (SELECT FROM vault.identity i WHERE i.code = q.code AND i.blind <> q.blind OFFSET 0)) THEN 'collision'
    WHEN EXISTS (SELECT FROM unnest(codes, blinds) q (code, blind) WHERE EXISTS (SELECT FROM vault.identity i WHERE i.blind = q.blind AND i.code <> q.code OFFSET 0)) THEN 'recoded'
    ELSE '' END
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION vault.clash(codes text[], blinds bytea[]) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE
    WHEN EXISTS (SELECT FROM unnest(codes, blinds) q (code, blind) JOIN vault.identity i ON i.code = q.code WHERE i.blind <> q.blind) THEN 'collision'
    WHEN EXISTS (SELECT FROM unnest(codes, blinds) q (code, blind) JOIN vault.identity i ON i.blind = q.blind WHERE i.code <> q.code) THEN 'recoded'
    ELSE '' END
$$;
-- +goose StatementEnd
