CREATE TABLE author (id INTEGER PRIMARY KEY, name TEXT NOT NULL, born DATE, country TEXT DEFAULT 'unknown' COLLATE NOCASE);
CREATE TABLE book (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  title TEXT NOT NULL UNIQUE,
  author_id INTEGER NOT NULL REFERENCES author (id) ON DELETE CASCADE,
  pages INTEGER CHECK (pages > 0),
  price NUMERIC(8, 2),
  added TEXT DEFAULT (datetime('now'))
);
CREATE TABLE IF NOT EXISTS loan (book_id INTEGER, reader TEXT, since TEXT, until TEXT, PRIMARY KEY (book_id, reader, since)) WITHOUT ROWID;
CREATE UNIQUE INDEX book_by_author ON book (author_id, title COLLATE NOCASE DESC) WHERE price IS NOT NULL;
CREATE VIEW long_books (title, author, pages) AS SELECT b.title, a.name, b.pages FROM book AS b JOIN author AS a ON a.id = b.author_id WHERE b.pages >= 500;
INSERT INTO author (name, born, country) VALUES ('Ada Lovelace', '1815-12-10', 'GB'), ('Jorge Luis Borges', '1899-08-24', 'AR'), ('Mary Shelley', NULL, 'GB');
INSERT INTO book (title, author_id, pages, price) SELECT 'Ficciones', id, 174, 12.50 FROM author WHERE name LIKE 'Jorge%';
INSERT OR IGNORE INTO loan VALUES (1, 'o''Neill', date('now', '-3 days'), NULL);
INSERT INTO book (title, author_id, price) VALUES ('Notes', 1, 3.5) ON CONFLICT (title) DO UPDATE SET price = excluded.price, pages = coalesce(pages, 1) WHERE price < excluded.price RETURNING id, title;
SELECT * FROM author;
SELECT DISTINCT country FROM author WHERE country <> 'unknown' ORDER BY country;
SELECT name, born FROM author WHERE born BETWEEN '1800-01-01' AND '1900-01-01' ORDER BY born DESC NULLS LAST LIMIT 10 OFFSET 5;
SELECT a.name, count(*) AS n, round(avg(b.pages), 1) AS mean_pages, sum(b.price) FILTER (WHERE b.price > 10) AS dear
FROM author a LEFT JOIN book b ON b.author_id = a.id
GROUP BY a.id HAVING count(b.id) > 1 OR max(b.price) IS NULL
ORDER BY n DESC, a.name COLLATE NOCASE;
SELECT title, CASE WHEN pages IS NULL THEN 'unknown' WHEN pages < 100 THEN 'short' WHEN pages < 400 THEN 'medium' ELSE 'long' END AS length FROM book;
SELECT title FROM book WHERE author_id IN (SELECT id FROM author WHERE country = 'GB') AND NOT EXISTS (SELECT 1 FROM loan WHERE loan.book_id = book.id AND until IS NULL);
WITH RECURSIVE days(day) AS (SELECT date('2024-01-01') UNION ALL SELECT date(day, '+1 day') FROM days WHERE day < '2024-01-31')
SELECT day, (SELECT count(*) FROM loan WHERE since <= day AND (until IS NULL OR until > day)) AS lent FROM days;
WITH dear AS (SELECT * FROM book WHERE price > 20), cheap AS MATERIALIZED (SELECT * FROM book WHERE price <= 20)
SELECT 'dear' AS kind, count(*) FROM dear UNION ALL SELECT 'cheap', count(*) FROM cheap ORDER BY 1;
SELECT title, price, rank() OVER (PARTITION BY author_id ORDER BY price DESC) AS place, lag(price, 1, 0) OVER w AS before, sum(price) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS total
FROM book WINDOW w AS (ORDER BY id);
SELECT upper(substr(name, 1, 1)) || lower(substr(name, 2)) AS shown, length(name) % 7, -abs(-3) * (2 + 4) / 5.0, 1e3, .5, 0x1F, ~id << 2 & 255 FROM author;
SELECT CAST(price * 100 AS INTEGER) AS cents, typeof(price), price IS NOT NULL AND price NOT IN (1, 2, 3) FROM book WHERE title GLOB 'F*[a-z]' OR title LIKE '100\%' ESCAPE '\';
SELECT b.title, l.reader FROM book AS b CROSS JOIN loan AS l WHERE b.id = l.book_id AND l.until IS NULL AND (b.price, b.pages) > (10, 100);
SELECT * FROM (SELECT author_id, max(price) AS price FROM book GROUP BY author_id) AS best JOIN book USING (author_id, price);
SELECT name FROM author EXCEPT SELECT reader FROM loan INTERSECT SELECT name FROM author WHERE id = ?1 OR name = :name OR born = @born;
UPDATE book SET price = round(price * 1.05, 2), added = CURRENT_TIMESTAMP WHERE author_id = (SELECT id FROM author WHERE name = 'Ada Lovelace');
UPDATE OR REPLACE loan SET (since, until) = ('2024-02-01', NULL) WHERE reader = 'x' RETURNING *;
UPDATE book SET pages = s.pages FROM (SELECT title, max(pages) AS pages FROM book GROUP BY title) AS s WHERE book.title = s.title;
DELETE FROM loan WHERE until < date('now', '-1 year') OR book_id NOT IN (SELECT id FROM book);
ALTER TABLE book ADD COLUMN language TEXT NOT NULL DEFAULT 'en';
ALTER TABLE book RENAME COLUMN added TO added_at;
BEGIN IMMEDIATE TRANSACTION;
SAVEPOINT before_import;
REPLACE INTO "odd ""name""" ([first column], `second`) VALUES (x'CAFE', TRUE); -- quoted in three ways
ROLLBACK TO before_import;
COMMIT;
PRAGMA foreign_keys = ON;
EXPLAIN QUERY PLAN SELECT count(*) FROM book INDEXED BY book_by_author WHERE author_id = 2 /* uses the index */;
DROP VIEW IF EXISTS long_books;
