// JDBC (pgjdbc): prepared statements that turn from unnamed to named and from text to binary, batches, portals by fetch size.

import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.*;
import java.util.*;
import java.util.regex.*;

public class Matrix {
    record Attribute(String name, String type, String store, String[] values, String invalid) {}

    interface Work { Object on(Side side) throws SQLException; }

    /** One connection and the table it works on. */
    static class Side {
        final Connection connection;
        final String table;

        Side(String url, String table, Properties mode) throws SQLException {
            Matcher parts = Pattern.compile("postgresql://(.*):(.*)@(.*)/(.*)").matcher(url);
            if (!parts.matches()) throw new IllegalArgumentException("a connection string");
            Properties properties = new Properties();
            properties.putAll(mode);
            properties.setProperty("user", parts.group(1));
            properties.setProperty("password", parts.group(2));
            connection = DriverManager.getConnection("jdbc:postgresql://" + parts.group(3) + "/" + parts.group(4), properties);
            this.table = table;
        }

        List<Object> ask(String statement, List<Object> values) throws SQLException {
            try (PreparedStatement prepared = connection.prepareStatement(statement.replace("TABLE", table))) {
                for (int n = 0; n < values.size(); n++) {
                    Object value = values.get(n);
                    if (value == null) prepared.setNull(n + 1, Types.NULL); else prepared.setObject(n + 1, value);
                }
                List<Object> answer = new ArrayList<>();
                if (prepared.execute()) answer.addAll(rows(prepared.getResultSet())); else answer.add(prepared.getUpdateCount());
                return answer;
            }
        }
    }

    /** The description and the rows, as the classes and the texts that the driver makes of them. */
    static List<Object> rows(ResultSet rows) throws SQLException {
        ResultSetMetaData description = rows.getMetaData();
        List<Object> answer = new ArrayList<>();
        int count = description.getColumnCount();
        for (int n = 1; n <= count; n++) {
            answer.add(description.getColumnName(n) + " " + description.getColumnTypeName(n) + " " + description.getPrecision(n)
                + " " + description.getScale(n) + " " + description.getColumnClassName(n));
        }
        while (rows.next()) {
            for (int n = 1; n <= count; n++) answer.add(told(rows.getObject(n)));
        }
        return answer;
    }

    static String told(Object value) {
        if (value == null) return "null";
        return value.getClass().getName() + " " + (value instanceof byte[] bytes ? Arrays.toString(bytes) : value.toString());
    }

    final List<Attribute> attributes = new ArrayList<>();
    final List<List<Object>> rows = new ArrayList<>();
    final Side through, direct, masked, tokened;
    final String list, places;
    int checks;

    Matrix(String[] arguments, Properties mode) throws Exception {
        for (String line : Files.readAllLines(Path.of(arguments[0]))) {
            if (line.startsWith("#")) continue;
            String[] cells = line.split(" \\| ");
            for (int n = 0; n < cells.length; n++) cells[n] = cells[n].trim();
            attributes.add(new Attribute(cells[0], cells[1], cells[2], Arrays.copyOfRange(cells, 3, 7), cells[7]));
        }
        through = new Side(arguments[1], "every_type", mode);
        direct = new Side(arguments[2], "twin", mode);
        masked = new Side(arguments[3], "every_type", mode);
        tokened = new Side(arguments[4], "every_type", mode);
        StringBuilder names = new StringBuilder("id"), marks = new StringBuilder("?");
        for (Attribute attribute : attributes) {
            names.append(", ").append(attribute.name);
            marks.append(", ?");
        }
        list = names.toString();
        places = marks.toString();
    }

    Object value(String sql) throws SQLException {
        try (Statement statement = direct.connection.createStatement(); ResultSet found = statement.executeQuery("SELECT " + sql)) {
            found.next();
            return found.getObject(1);
        }
    }

    /** The driver reads an enum as a String, and declares a String as varchar, which is no enum. */
    static Object given(Object value, String type) throws SQLException {
        if (!type.equals("mood")) return value;
        org.postgresql.util.PGobject given = new org.postgresql.util.PGobject();
        given.setType(type);
        given.setValue((String) value);
        return given;
    }

    Object told(Side side, Work work) {
        try {
            return work.on(side);
        } catch (SQLException fault) {
            return List.of(fault.getClass().getName(), String.valueOf(fault.getSQLState()));
        }
    }

    Object same(String what, Work work) {
        Object one = told(through, work), other = told(direct, work);
        same(what, one, other);
        return one;
    }

    void same(String what, Object one, Object other) {
        checks++;
        if (!Objects.equals(one, other)) {
            if (one instanceof List<?> ones && other instanceof List<?> others && ones.size() == others.size()) {
                for (int n = 0; n < ones.size(); n++) same(what, ones.get(n), others.get(n));
            }
            System.err.println(what + ": the answers differ\n  pgveil: " + one + "\n  direct: " + other);
            System.exit(1);
        }
    }

    void run(String statement, Object... values) {
        same(statement, side -> side.ask(statement, Arrays.asList(values)));
    }

    void fill() throws SQLException {
        for (Side side : List.of(through, direct)) side.ask("DELETE FROM TABLE", List.of());
        for (List<Object> row : rows) {
            run("INSERT INTO TABLE (" + list + ") VALUES (" + places + ") RETURNING *", row.toArray());
            run("SELECT count(*) FROM TABLE");
        }
        List<Object> count = direct.ask("SELECT count(*) FROM TABLE", List.of());
        same("the rows", count.get(count.size() - 1), told((long) rows.size()));
    }

    void whole() throws SQLException {
        for (int place = 0; place < 3; place++) {
            List<Object> row = new ArrayList<>(List.of(place + 1));
            for (Attribute a : attributes) row.add(given(value("CAST(" + a.values[place] + " AS " + a.type + ")"), a.type));
            rows.add(row);
        }
        List<Object> nulls = new ArrayList<>(Collections.nCopies(attributes.size() + 1, null));
        nulls.set(0, 4);
        rows.add(nulls);
        fill();
        run("SELECT * FROM TABLE ORDER BY id");
        int place = 0;
        for (Attribute a : attributes) {
            place++;
            run("SELECT id, " + a.name + " FROM TABLE WHERE " + a.name + " IS NULL");
            Object literal = value("quote_literal(CAST(CAST(" + a.values[3] + " AS " + a.type + ") AS text))");
            run("INSERT INTO TABLE (id, " + a.name + ") VALUES (5, " + literal + ")");
            run("SELECT " + a.name + " FROM TABLE WHERE id = 5");
            run("DELETE FROM TABLE WHERE id = ?", 5);
            if (!a.store.contains("search: []")) lookups(a.name, place);
            for (int row : new int[] {1, 3, 0}) {
                run("UPDATE TABLE SET " + a.name + " = ? WHERE id = ? RETURNING id, " + a.name, rows.get(row).get(place), 3);
            }
            if (!a.invalid.equals("-")) {
                run("UPDATE TABLE SET " + a.name + " = " + a.invalid + " WHERE id = 1");
                run("UPDATE TABLE SET " + a.name + " = ? WHERE id = ?", "no such value", 1);
            }
        }
        run("INSERT INTO TABLE (id) VALUES (?)", 1);
        run("SELECT nowhere FROM TABLE");
        run("SELEKT 1");
        batch();
        portals();
        cursors();
        masks();
    }

    /** More often than the driver's threshold, so that the statement is named and its results are binary. */
    void lookups(String name, int place) {
        for (int row = 0; row < 3; row++) {
            Object value = rows.get(row).get(place);
            String statement = "SELECT id, " + name + " FROM TABLE WHERE " + name + " = ? ORDER BY id";
            same(statement, side -> {
                List<Object> answers = new ArrayList<>();
                try (PreparedStatement prepared = side.connection.prepareStatement(statement.replace("TABLE", side.table))) {
                    for (int time = 0; time < 8; time++) {
                        prepared.setObject(1, value);
                        answers.addAll(rows(prepared.executeQuery()));
                    }
                }
                return answers;
            });
        }
        run("SELECT id FROM TABLE WHERE " + name + " IN (?, ?) ORDER BY id", rows.get(0).get(place), rows.get(1).get(place));
    }

    void batch() {
        same("a batch", side -> {
            try (PreparedStatement prepared = side.connection.prepareStatement("INSERT INTO " + side.table + " (" + list + ") VALUES (" + places + ")")) {
                for (int n = 0; n < 300; n++) {
                    List<Object> row = rows.get(n % 4);
                    prepared.setObject(1, 1000 + n);
                    for (int column = 1; column < row.size(); column++) {
                        if (row.get(column) == null) prepared.setNull(column + 1, Types.NULL); else prepared.setObject(column + 1, row.get(column));
                    }
                    prepared.addBatch();
                }
                List<Integer> counts = new ArrayList<>();
                for (int count : prepared.executeBatch()) counts.add(count);
                return counts;
            }
        });
        run("SELECT * FROM TABLE WHERE id >= 1000 ORDER BY id");
        same("a batch of texts", side -> {
            try (Statement statement = side.connection.createStatement()) {
                statement.addBatch("UPDATE " + side.table + " SET i4 = 7 WHERE id = 1000");
                statement.addBatch("UPDATE " + side.table + " SET t = 'x' WHERE id = 1001");
                statement.addBatch("DELETE FROM " + side.table + " WHERE id > 1002");
                return Arrays.toString(statement.executeBatch());
            }
        });
        run("SELECT * FROM TABLE WHERE id >= 1000 ORDER BY id");
        run("DELETE FROM TABLE WHERE id >= ?", 1000);
    }

    /** A fetch size, outside of autocommit, reads a portal in parts. */
    void portals() {
        same("a portal", side -> {
            side.connection.setAutoCommit(false);
            try (PreparedStatement prepared = side.connection.prepareStatement("SELECT * FROM " + side.table + " ORDER BY id")) {
                prepared.setFetchSize(2);
                return rows(prepared.executeQuery());
            } finally {
                side.connection.commit();
                side.connection.setAutoCommit(true);
            }
        });
    }

    /** DECLARE is refused over the treated table, and works over others. */
    void cursors() throws SQLException {
        through.connection.setAutoCommit(false);
        Object refused = told(through, side -> side.ask("DECLARE page CURSOR FOR SELECT * FROM TABLE", List.of()));
        through.connection.rollback();
        through.connection.setAutoCommit(true);
        same("DECLARE", ((List<?>) refused).get(1), "0A000");
        same("FETCH", side -> {
            side.connection.setAutoCommit(false);
            side.ask("DECLARE page CURSOR FOR SELECT * FROM shown ORDER BY id", List.of());
            List<Object> page = side.ask("FETCH 2 FROM page", List.of());
            side.connection.commit();
            side.connection.setAutoCommit(true);
            return page;
        });
    }

    void masks() throws SQLException {
        fill();
        for (int time = 0; time < 8; time++) {
            same("masked", masked.ask("SELECT * FROM every_type ORDER BY id", List.of()), direct.ask("SELECT * FROM shown ORDER BY id", List.of()));
            same("tokened", tokened.ask("SELECT * FROM every_type ORDER BY id", List.of()), direct.ask("SELECT * FROM tokens ORDER BY id", List.of()));
        }
        for (Attribute a : attributes) {
            String statement = "SELECT id, " + a.name + " FROM %s ORDER BY id";
            same("masked " + a.name, masked.ask(statement.formatted("every_type"), List.of()), direct.ask(statement.formatted("shown"), List.of()));
        }
        Object refused = told(masked, side -> side.ask("UPDATE TABLE SET t = ?", List.of("x")));
        same("assigned by a masked role", ((List<?>) refused).get(1), "42501");
    }

    public static void main(String[] arguments) throws Exception {
        try {
            Class.forName("org.postgresql.Driver");
        } catch (ClassNotFoundException fault) {
            System.out.println("missing: " + fault);
            System.exit(77);
        }
        int checks = 0;
        for (String mode : List.of("extended", "extendedForPrepared", "extendedCacheEverything")) {
            Properties properties = new Properties();
            properties.setProperty("preferQueryMode", mode);
            Matrix matrix = new Matrix(arguments, properties);
            matrix.whole();
            checks += matrix.checks;
        }
        Driver driver = DriverManager.getDriver("jdbc:postgresql:");
        System.out.println("JDBC " + driver.getMajorVersion() + "." + driver.getMinorVersion() + ": " + checks + " checks hold");
    }
}
