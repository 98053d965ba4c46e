<?php
// PHP's PDO: prepared by the server or emulated by the client, cursors that scroll; the same through pgveil and directly.

if (!extension_loaded('pdo_pgsql')) {
    echo "missing: PHP has no pdo_pgsql\n";
    exit(77);
}

final class Matrix
{
    public int $checks = 0;
    private array $attributes = [];
    private array $rows = [];
    private array $sides;
    private PDO $direct;
    private PDO $masked;
    private string $list = 'id';
    private string $places = '?';

    public function __construct(array $arguments, array $mode)
    {
        [, $path, $through, $direct, $masked] = $arguments;
        foreach (file($path, FILE_IGNORE_NEW_LINES) as $line) {
            if (str_starts_with($line, '#')) {
                continue;
            }
            $cells = array_map('trim', explode(' | ', $line));
            $this->attributes[] = ['name' => $cells[0], 'type' => $cells[1], 'compared' => !str_contains($cells[2], 'search: []'),
                'values' => array_slice($cells, 3, 4), 'invalid' => $cells[7]];
            $this->list .= ', ' . $cells[0];
            $this->places .= ', ?';
        }
        $this->direct = self::connect($direct, $mode);
        $this->masked = self::connect($masked, $mode);
        $this->sides = [[self::connect($through, $mode), 'every_type'], [$this->direct, 'twin']];
    }

    private static function connect(string $url, array $mode): PDO
    {
        $parts = parse_url($url);
        $name = "pgsql:host={$parts['host']};port={$parts['port']};dbname=" . ltrim($parts['path'], '/');
        return new PDO($name, $parts['user'], $parts['pass'], $mode + [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
    }

    /** The description and the rows, or the class and the SQLSTATE of the fault. */
    private static function ask(PDO $connection, string $statement, array $values = [], int $times = 1, array $options = []): array
    {
        try {
            $prepared = $connection->prepare($statement, $options);
            $answer = [];
            for ($time = 0; $time < $times; $time++) {
                foreach ($values as $place => $value) {
                    $type = is_resource($value) ? PDO::PARAM_LOB : (is_bool($value) ? PDO::PARAM_BOOL : (is_int($value) ? PDO::PARAM_INT : PDO::PARAM_STR));
                    if (is_resource($value)) {
                        rewind($value);
                    }
                    $prepared->bindValue($place + 1, $value, $value === null ? PDO::PARAM_NULL : $type);
                }
                $prepared->execute();
                $columns = [];
                for ($n = 0; $n < $prepared->columnCount(); $n++) {
                    $meta = $prepared->getColumnMeta($n);
                    $columns[] = [$meta['name'], $meta['native_type'], $meta['len'], $meta['precision'], $meta['pdo_type']];
                }
                $rows = $columns ? array_map(self::told(...), $prepared->fetchAll(PDO::FETCH_NUM)) : $prepared->rowCount();
                $answer[] = [$columns, $rows];
                $prepared->closeCursor();
            }
            return $answer;
        } catch (PDOException $fault) {
            return [get_class($fault), $fault->errorInfo[0] ?? null];
        }
    }

    /** bytea comes as a stream. */
    private static function told(array $row): array
    {
        return array_map(fn ($cell) => is_resource($cell) ? 'stream ' . bin2hex(stream_get_contents($cell)) : var_export($cell, true), $row);
    }

    private function native(string $expression): mixed
    {
        return $this->direct->query("SELECT $expression")->fetchColumn();
    }

    private function same(string $what, mixed $through, mixed $direct): void
    {
        $this->checks++;
        if ($through !== $direct) {
            fwrite(STDERR, "$what: the answers differ\n  pgveil: " . json_encode($through) . "\n  direct: " . json_encode($direct) . "\n");
            exit(1);
        }
    }

    private function run(string $statement, array $values = [], int $times = 1): array
    {
        $answers = [];
        foreach ($this->sides as [$connection, $table]) {
            $answers[] = self::ask($connection, str_replace('TABLE', $table, $statement), $values, $times);
        }
        $this->same($statement, ...$answers);
        return $answers[0];
    }

    private function fill(): void
    {
        foreach ($this->sides as [$connection, $table]) {
            $connection->exec("DELETE FROM $table");
        }
        foreach ($this->rows as $row) {
            $this->run("INSERT INTO TABLE ({$this->list}) VALUES ({$this->places}) RETURNING *", $row);
        }
        if (count($this->run('SELECT * FROM TABLE ORDER BY id')[0][1]) !== 4) {
            fwrite(STDERR, "the rows are not there\n");
            exit(1);
        }
    }

    public function whole(): void
    {
        for ($place = 0; $place < 3; $place++) {
            $row = [$place + 1];
            foreach ($this->attributes as $a) {
                $row[] = $this->native("CAST({$a['values'][$place]} AS {$a['type']})");
            }
            $this->rows[] = $row;
        }
        $this->rows[] = [4, ...array_fill(0, count($this->attributes), null)];
        $this->fill();
        foreach ($this->attributes as $place => $a) {
            $this->attribute($a, $place + 1);
        }
        $this->run('INSERT INTO TABLE (id) VALUES (?)', [1]);
        $this->run('SELECT nowhere FROM TABLE');
        $this->run('SELEKT 1');
        $this->run('SELECT * FROM TABLE ORDER BY id');
        $this->cursors();
        $this->masks();
    }

    private function attribute(array $a, int $place): void
    {
        $name = $a['name'];
        $this->run("SELECT id, $name FROM TABLE WHERE $name IS NULL");
        $literal = $this->native("quote_literal(CAST(CAST({$a['values'][3]} AS {$a['type']}) AS text))");
        $this->run("INSERT INTO TABLE (id, $name) VALUES (5, $literal)");
        $this->run("SELECT $name FROM TABLE WHERE id = 5");
        $this->run('DELETE FROM TABLE WHERE id = ?', [5]);
        if ($a['compared']) {
            foreach (array_slice($this->rows, 0, 3) as $row) {
                $this->run("SELECT id, $name FROM TABLE WHERE $name = ? ORDER BY id", [$row[$place]], 3);
            }
            $this->run("SELECT id FROM TABLE WHERE $name IN (?, ?) ORDER BY id", [$this->rows[0][$place], $this->rows[1][$place]]);
        }
        foreach ([1, 3, 0] as $row) {
            $this->run("UPDATE TABLE SET $name = ? WHERE id = ? RETURNING id, $name", [$this->rows[$row][$place], 3]);
        }
        if ($a['invalid'] !== '-') {
            $this->run("UPDATE TABLE SET $name = {$a['invalid']} WHERE id = 1");
            $this->run("UPDATE TABLE SET $name = ? WHERE id = ?", ['no such value', 1]);
        }
    }

    /** A cursor that scrolls is DECLARE: refused over the treated table, and works over others. */
    private function cursors(): void
    {
        $scroll = [PDO::ATTR_CURSOR => PDO::CURSOR_SCROLL];
        $through = $this->sides[0][0];
        $through->beginTransaction();
        $refused = self::ask($through, 'SELECT * FROM every_type', [], 1, $scroll);
        $through->rollBack();
        $this->same('DECLARE', $refused[1], '0A000');
        $answers = [];
        foreach ($this->sides as [$connection]) {
            $connection->beginTransaction();
            $answers[] = self::ask($connection, 'SELECT * FROM shown ORDER BY id', [], 1, $scroll);
            $connection->commit();
        }
        $this->same('a cursor', ...$answers);
    }

    private function masks(): void
    {
        $this->fill();
        $names = array_merge(['*'], array_column($this->attributes, 'name'));
        foreach ($names as $name) {
            $this->same("masked $name", self::ask($this->masked, "SELECT $name FROM every_type ORDER BY id"),
                self::ask($this->direct, "SELECT $name FROM shown ORDER BY id"));
        }
        $this->same('assigned by a masked role', self::ask($this->masked, 'UPDATE every_type SET t = ?', ['x'])[1], '42501');
    }
}

$checks = 0;
foreach ([[], [PDO::ATTR_EMULATE_PREPARES => true], [PDO::PGSQL_ATTR_DISABLE_PREPARES => true]] as $mode) {
    $matrix = new Matrix($argv, $mode);
    $matrix->whole();
    $checks += $matrix->checks;
}
echo 'PHP ' . PHP_VERSION . " PDO: $checks checks hold\n";
