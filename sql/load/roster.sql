-- Prepares the rows of a roster for publication, and removes what the roster takes away: classrooms, names of students, and
-- enrolments.
-- Grain:   one record of the roster.
-- Inputs:  the temporary tables roster_class, roster_person, roster_enrolment and roster_removed, which the loader fills.
-- Params:  see each statement.

-- name: known_classes
SELECT id FROM classroom;

-- name: known_people
-- User ids by the sourcedId under which earlier rosters enrolled them.
SELECT DISTINCT user_source_id, user_id FROM enrolment;

-- name: name_classes
-- A name is unique in an organisation: a class whose title another class there has gets its id behind it.
UPDATE roster_class AS c
SET name = c.name || ' (' || c.id || ')'
WHERE
    EXISTS (
        SELECT FROM roster_class AS other WHERE other.org_id = c.org_id AND other.name = c.name AND other.id <> c.id
    )
    OR EXISTS (
        SELECT FROM classroom AS other
        WHERE
            other.org_id = c.org_id
            AND other.name IN (c.name, c.name || ' (' || other.id || ')')
            AND other.id <> c.id
            AND NOT EXISTS (SELECT FROM roster_class AS staged WHERE staged.id = other.id)
    );

-- name: free_names
-- Classes that swap their names would collide on the way.
UPDATE classroom AS t
SET name = 'roster ' || t.id
FROM roster_class AS c
WHERE c.id = t.id AND (t.org_id, t.name) IS DISTINCT FROM (c.org_id, c.name);

-- name: settle_kinds
-- A class whose type the roster does not say keeps the one of its earlier enrolments.
UPDATE roster_enrolment AS e
SET is_homeroom = COALESCE(
    (SELECT bool_or(k.is_homeroom) FROM enrolment AS k WHERE k.classroom_id = e.classroom_id), false
)
WHERE e.is_homeroom IS NULL;

-- name: stage_names
-- Students have names in reports, teachers have none: a student has the role, an enrolment as one, a name or an exam.
CREATE TEMP TABLE roster_name ON COMMIT DROP AS
SELECT p.user_id, p.name
FROM roster_person AS p
WHERE
    p.name <> ''
    AND (
        p.is_student
        OR EXISTS (SELECT FROM enrolment AS e WHERE e.user_id = p.user_id AND e.role = 'student')
        OR EXISTS (SELECT FROM student_name AS s WHERE s.user_id = p.user_id)
        OR EXISTS (SELECT FROM exam_results AS r WHERE r.user_id = p.user_id)
    );

-- name: remove_enrolments
-- What is to be deleted; with is_whole also what a bulk file no longer has, in the organisations of its classes.
WITH removed AS (
    DELETE FROM enrolment AS t
    WHERE
        EXISTS (
            SELECT FROM roster_removed AS r
            WHERE
                (r.kind = 'enrollments' AND r.id = t.id)
                OR (r.kind = 'users' AND r.id = t.user_source_id)
                OR (r.kind = 'classes' AND r.id = t.classroom_id)
        )
        OR (
            CAST(:is_whole AS boolean)
            AND NOT EXISTS (SELECT FROM roster_enrolment AS e WHERE e.id = t.id)
            AND t.classroom_id IN (
                SELECT c.id FROM classroom AS c
                WHERE c.org_id IN (SELECT org_id FROM roster_class)
            )
        )
    RETURNING 1
)

SELECT count(*) FROM removed;

-- name: remove_names
WITH removed AS (
    DELETE FROM student_name AS t
    USING roster_removed AS r
    WHERE r.kind = 'people' AND r.id = t.user_id
    RETURNING 1
)

SELECT count(*) FROM removed;

-- name: remove_classes
-- A class with sessions stays: past weeks are grouped by it.
WITH removed AS (
    DELETE FROM classroom AS t
    USING roster_removed AS r
    WHERE r.kind = 'classes' AND r.id = t.id AND NOT EXISTS (SELECT FROM session AS s WHERE s.classroom_id = t.id)
    RETURNING 1
)

SELECT count(*) FROM removed;

-- name: students_with_exams
-- How many students of the roster have exams under their id.
SELECT count(*) AS students, count(*) FILTER (
    WHERE EXISTS (SELECT FROM exam_results AS r WHERE r.user_id = s.user_id)
) AS with_exams
FROM (
    SELECT user_id FROM roster_person WHERE is_student
    UNION
    SELECT user_id FROM roster_enrolment WHERE role = 'student'
) AS s;
