# Ruby's pg: simple and extended protocol, text and binary, prepared by name, pipelines; the same through pgveil and directly.

begin
  require 'pg'
rescue LoadError => e
  puts "missing: #{e.message}"
  exit 77
end

Attribute = Struct.new(:name, :type, :store, :values, :invalid) do
  def compared?
    !store.include?('search: []')
  end
end

# Asks one connection in one mode: results in text (0) or binary (1), prepared or not.
class Driver
  attr_reader :connection, :table

  def initialize(url, table, format, prepared)
    @connection = PG.connect(url)
    @table, @format, @prepared = table, format, prepared
    @names = {}
  end

  # The description and the rows, or the class and the SQLSTATE of the fault.
  def ask(statement, values = [])
    told(result(statement.sub('TABLE', table), values))
  rescue PG::Error => e
    [e.class.name, e.result&.error_field(PG::Result::PG_DIAG_SQLSTATE)]
  end

  def told(result)
    columns = (0...result.nfields).map { |n| [result.fname(n), result.ftype(n), result.fmod(n), result.fsize(n), result.fformat(n)] }
    [result.cmd_status, columns, result.values]
  end

  private

  def result(statement, values)
    return connection.exec_params(statement, values, @format) unless @prepared

    name = @names[statement]
    unless name
      connection.prepare("s#{@names.size}", statement)
      name = @names[statement] = "s#{@names.size}"
    end
    connection.exec_prepared(name, values, @format)
  end
end

class Matrix
  attr_reader :checks

  def initialize(path, urls, format, prepared)
    @attributes = File.readlines(path, chomp: true, encoding: 'UTF-8').reject { |line| line.start_with?('#') }.map do |line|
      cells = line.split(' | ').map(&:strip)
      Attribute.new(cells[0], cells[1], cells[2], cells[3..6], cells[7])
    end
    @format = format
    @through, @direct, @masked = %w[every_type twin every_type].zip(urls).map { |table, url| Driver.new(url, table, format, prepared) }
    @list = ['id', *@attributes.map(&:name)].join(', ')
    @places = (1..@attributes.size + 1).map { |n| "$#{n}" }.join(', ')
    @checks = 0
  end

  # A value as it is on the wire, in the mode's format; text is sent back as text, binary as binary.
  def native(expression)
    value = @direct.connection.exec_params("SELECT #{expression}", [], @format).getvalue(0, 0)
    @format == 1 ? { value: value, format: 1 } : value
  end

  def same(what, through, direct)
    @checks += 1
    abort "#{what}: the answers differ\n  pgveil: #{through}\n  direct: #{direct}" if through != direct
  end

  def run(statement, values = [])
    answers = [@through, @direct].map { |driver| driver.ask(statement, values) }
    same(statement, *answers)
    answers[0]
  end

  def number(value)
    value.to_s
  end

  def fill
    [@through, @direct].each { |driver| driver.connection.exec("DELETE FROM #{driver.table}") }
    @rows.each { |row| run("INSERT INTO TABLE (#{@list}) VALUES (#{@places}) RETURNING *", row) }
    abort 'the rows are not there' if run('SELECT * FROM TABLE ORDER BY id')[2].size != 4
  end

  def whole
    @rows = (0..2).map { |place| [number(place + 1), *@attributes.map { |a| native("CAST(#{a.values[place]} AS #{a.type})") }] }
    @rows << [number(4), *@attributes.map { nil }]
    fill
    @attributes.each_with_index { |attribute, place| attribute(attribute, place + 1) }
    run('INSERT INTO TABLE (id) VALUES ($1)', ['1'])
    run('SELECT nowhere FROM TABLE')
    run('SELEKT 1')
    simple
    pipelines
    cursors
    masks
  end

  def attribute(attribute, place)
    name = attribute.name
    run("SELECT id, #{name} FROM TABLE WHERE #{name} IS NULL")
    literal = @direct.connection.exec("SELECT quote_literal(CAST(CAST(#{attribute.values[3]} AS #{attribute.type}) AS text))").getvalue(0, 0)
    run("INSERT INTO TABLE (id, #{name}) VALUES (5, #{literal})")
    run("SELECT #{name} FROM TABLE WHERE id = 5")
    run('DELETE FROM TABLE WHERE id = $1', ['5'])
    if attribute.compared?
      @rows[0..2].each { |row| 2.times { run("SELECT id, #{name} FROM TABLE WHERE #{name} = $1 ORDER BY id", [row[place]]) } }
      run("SELECT id FROM TABLE WHERE #{name} IN ($1, $2) ORDER BY id", [@rows[0][place], @rows[1][place]])
    end
    [1, 3, 0].each { |row| run("UPDATE TABLE SET #{name} = $1 WHERE id = $2 RETURNING id, #{name}", [@rows[row][place], '3']) }
    return if attribute.invalid == '-'

    run("UPDATE TABLE SET #{name} = #{attribute.invalid} WHERE id = 1")
    run("UPDATE TABLE SET #{name} = $1 WHERE id = $2", ['no such value', '1'])
  end

  def simple
    answers = [@through, @direct].map do |driver|
      driver.told(driver.connection.exec("SELECT * FROM #{driver.table} ORDER BY id"))
    end
    same('a simple query', *answers)
  end

  # One pipeline with an error in it: what follows is skipped until the Sync.
  def pipelines
    answers = [@through, @direct].map do |driver|
      connection = driver.connection
      connection.enter_pipeline_mode
      connection.send_query_params("SELECT * FROM #{driver.table} WHERE id = $1", ['1'])
      connection.send_query_params("INSERT INTO #{driver.table} (id) VALUES ($1)", ['1'])
      connection.send_query_params("SELECT * FROM #{driver.table} WHERE id = $1", ['2'])
      connection.pipeline_sync
      found = []
      until found.last == PG::PGRES_PIPELINE_SYNC
        result = connection.get_result
        next unless result

        found << result.values if result.result_status == PG::PGRES_TUPLES_OK
        found << result.error_field(PG::Result::PG_DIAG_SQLSTATE) if result.result_status == PG::PGRES_FATAL_ERROR
        found << result.result_status
      end
      connection.exit_pipeline_mode
      found
    end
    same('a pipeline', *answers)
  end

  # DECLARE is refused over the treated table, and works over others.
  def cursors
    page = lambda do |driver, table|
      driver.connection.exec('BEGIN')
      declared = driver.ask("DECLARE page CURSOR FOR SELECT * FROM #{table} ORDER BY id")
      answer = declared.size == 2 ? declared : driver.ask('FETCH 2 FROM page')
      driver.connection.exec('ROLLBACK')
      answer
    end
    same('DECLARE', page.call(@through, 'every_type'), ['PG::FeatureNotSupported', '0A000'])
    same('FETCH', page.call(@through, 'shown'), page.call(@direct, 'shown'))
  end

  def masks
    fill
    ['*', *@attributes.map(&:name)].each do |name|
      same("masked #{name}", @masked.ask("SELECT #{name} FROM every_type ORDER BY id"), @direct.ask("SELECT #{name} FROM shown ORDER BY id"))
    end
    same('assigned by a masked role', @masked.ask('UPDATE every_type SET t = $1', ['x']), ['PG::InsufficientPrivilege', '42501'])
  end
end

path, *urls = ARGV
checks = [0, 1].product([false, true]).sum do |format, prepared|
  matrix = Matrix.new(path, urls, format, prepared)
  matrix.whole
  matrix.checks
end
puts "Ruby's pg #{PG::VERSION}: #{checks} checks hold"
