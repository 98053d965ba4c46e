\set key random(1, 50)
\set value random(1, 1000000)
SELECT id, t, i4, n FROM every_type WHERE i4 = :key;
UPDATE every_type SET i8 = :value WHERE i4 = :key;
SELECT i8, phone FROM every_type WHERE phone = '0123456789';
SELECT :value + 1;
