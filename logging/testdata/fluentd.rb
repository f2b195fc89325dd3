# Runs messages through the real filter, as fluentd would.
#
#   ruby -I testdata testdata/fluentd.rb FILTER < JSON > JSON
#
# Input: {"filter": {parameter: text}, "messages": [{"path": ..., "message": [part, ...]}], "now": milliseconds, or the clock's time}. A part is a
# text, [text, count] for one that is repeated, or {"base64": ...} for bytes.
# Output: {"error": text} if the configuration is refused, or {"events": [{"time": number, "record": {...}} or null]}; with "measure": true
# {"seconds": of the processor} for each.
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
events = input["messages"].map.with_index do |one, number|
  # As the input hands it over; it may be frozen.
  record = { "message" => message(one["message"]).freeze, "_file" => one["path"].dup.freeze, "_hash" => "id-#{number}" }
  time = Fluent::EventTime.new(NOW / 1000, NOW % 1000 * 1_000_000)
  began = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
  time, record = filter.filter_with_time("app", time, record)
  next { "seconds" => Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - began } if input["measure"]

  record && { "time" => Float("#{time.sec}.#{format('%09d', time.nsec)}"), "record" => record }
end
puts JSON.generate("events" => events)
