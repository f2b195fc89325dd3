# Measures filters beside each other, with lines of an access log, of a JSON logger and of text, without and with secrets:
#
#   ruby -I testdata testdata/speed.rb FORMER files/filter_expense.rb
#
# For each kind of lines it prints the microseconds of the processor that each filter takes for one, and that as a part of the first
# filter's. Each is measured five times, in turn, in a process of its own, and the shortest time counts. `make logging-speed` runs it.
require "json"
require "fluent/plugin/filter"

LINES = 5000
NOW = Process.clock_gettime(Process::CLOCK_REALTIME)
KINDS = {
  "access" => ["access", lambda do |i|
    format('{"time":%.3f,"request_id":"%032x","remote_addr":"10.0.12.%d","method":"GET","path":"/products/%d/reviews","protocol":"HTTP/1.1",' \
           '"status":200,"bytes_sent":%d,"request_time":0.004,"host":"shop.example.com","referer":"https://shop.example.com/products",' \
           '"user_agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36"}',
           NOW, i * 15_485_863, i % 250, i, i * 3)
  end],
  "json" => ["output", lambda do |i|
    format('{"ts":%.3f,"level":"info","caller":"orders/store.go:%d","msg":"order stored","order":{"id":%d,"items":[{"sku":"a-%d","count":2}]},' \
           '"user":"u-%d","duration_ms":12.5,"trace":"%016x"}', NOW, i % 300, i, i % 99, i % 1000, i * 15_485_863)
  end],
  "text" => ["output", ->(i) { "2026-11-25 03:00:00,#{i % 1000} INFO [worker-#{i % 8}] com.example.Orders - order #{i} stored in #{i % 90} ms for customer #{i * 7}" }],
  "secrets" => ["output", ->(i) { "login of user#{i} with password=hunter#{i} and Authorization: Bearer abc#{i}def" }],
}.freeze

def measure(path)
  load path
  filter = Fluent::Plugin::FILTERS.fetch("expense").new
  params = Hash.new("x").merge("fields" => "{}", "indexed_fields" => "{}", "drop_levels" => "[]", "redact" => "[]")
  filter.configure(filter.class.params.keys.to_h { |name| [name.to_s, params[name.to_s]] }.merge("path_key" => "_file", "id_key" => "_hash"))
  KINDS.transform_values do |stream, line|
    events = Fluent::MultiEventStream.new
    LINES.times { |i| events.add(Fluent::EventTime.new(NOW.to_i, 0), "message" => line.call(i), "_file" => "/var/log/pod/web/#{stream}.log") }
    GC.start
    began = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
    filter.filter_stream("app.any", events)
    (Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - began) * 1e6 / LINES
  end
end

best = ARGV.to_h { |path| [path, Hash.new(Float::INFINITY)] }
5.times do
  ARGV.each do |path|
    reader, writer = IO.pipe
    Process.wait(fork { writer << JSON.generate(measure(path)) })
    writer.close
    JSON.parse(reader.read).each { |kind, time| best[path][kind] = [best[path][kind], time].min }
  end
end
first = best.values.first
puts "", "| a line of | #{best.keys.map { |path| File.basename(path) }.join(' | ')} | ratio |", "|---|#{'---|' * best.size}---|"
KINDS.each_key do |kind|
  times = best.values.map { |each| each[kind] }
  puts "| #{kind} | #{times.map { |time| format('%.1f µs', time) }.join(' | ')} | #{format('%.2f', times.last / first[kind])} |"
end
puts "", "Ruby #{RUBY_VERSION}"
