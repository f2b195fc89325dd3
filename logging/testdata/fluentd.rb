# Runs messages through the real filter, as fluentd would.
#
#   ruby -I testdata testdata/fluentd.rb FILTER < JSON > JSON
#
# Input: {"filter": {parameter: text}, "messages": [{"path": ..., "message": [part, ...], "id": text}], "now": milliseconds, or the clock's time}. A part is a
# text, [text, count] for one that is repeated, or {"base64": ...} for bytes.
# Each message is handed over by itself, or all together with "together": true.
# Output: {"error": text} if the configuration is refused, or {"events": [{"time": number, "record": {...}} or null]}. The first event of
# what is handed over has the "seconds" of the processor that it took; "measure": true leaves all but them out.
require "base64"
require "fluent/plugin/filter"
load ARGV.fetch(0)

input = JSON.parse($stdin.read)
NOW = input["now"] || Process.clock_gettime(Process::CLOCK_REALTIME, :millisecond)
Process.singleton_class.prepend(Module.new do
  def clock_gettime(clock, unit = :float_second) = clock == Process::CLOCK_REALTIME && unit == :millisecond ? NOW : super
end)

def message(parts)
  parts.map { |part| part.is_a?(Array) ? part[0].b * part[1] : part.is_a?(Hash) ? Base64.decode64(part["base64"]) : part.b }.join
end

begin
  filter = Fluent::Plugin::FILTERS.fetch("expense").new
  filter.configure(input["filter"])
rescue Fluent::ConfigError => e
  puts JSON.generate("error" => e.message)
  exit
end
# As the input hands them over; a text may be frozen.
records = input["messages"].map.with_index do |one, number|
  { "message" => message(one["message"]).freeze, "_file" => one["path"].dup.freeze, "_hash" => one["id"] || "id-#{number}" }
end
seconds = []
events = records.each_slice(input["together"] ? records.size : 1).flat_map do |some|
  ids = some.map { |record| record["_hash"] }
  stream = Fluent::MultiEventStream.new
  some.each { |record| stream.add(Fluent::EventTime.new(NOW / 1000, NOW % 1000 * 1_000_000), record) }
  began = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
  made = filter.filter_stream("app", stream).events.to_h { |time, record| [record["_hash"], { "time" => Float("#{time.sec}.#{format('%09d', time.nsec)}"), "record" => record }] }
  seconds << { "seconds" => Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - began }
  made.each_value.first&.update(seconds.last)
  ids.map { |id| made[id] }
end
puts JSON.generate("events" => input["measure"] ? seconds : events)
