# Runs lines of text through the parsers of fluent.conf and the real filter, as fluentd would.
#
#   ruby -I testdata testdata/fluentd.rb FILTER < JSON > JSON
#
# Input: {"filter": {parameter: text}, "multiline": {format_firstline, format1, time_format}, "files": [{"path": ..., "bytes": base64}]}
# or, with "records": [...] in place of files, records for the filter alone, in which {"base64": ...} is a text of bytes.
# Output: {"error": text} if the configuration is refused, or {"events": [{"time": number, "record": {...}} or null]}.
require "base64"
require "time"
require "fluent/plugin/filter"
load ARGV.fetch(0)

input = JSON.parse($stdin.read)

# Whatever a source hands over may be frozen.
def thaw(value)
  case value
  when Hash
    return Base64.decode64(value["base64"]).freeze if value.keys == ["base64"]

    value.to_h { |key, inner| [key.dup.freeze, thaw(inner)] }
  when Array then value.map { |inner| thaw(inner) }
  when String then value.dup.freeze
  else value
  end
end

# What in_tail hands to the filter: bytes, a message for each line, or for each first line with what follows it.
def tail(input)
  input["files"].flat_map do |file|
    lines = Base64.decode64(file["bytes"]).lines
    next lines.map { |line| { "message" => line.chomp, "_file" => file["path"] } } unless input["multiline"]

    first, format = input["multiline"].values_at("format_firstline", "format1").map { |text| Regexp.new(text[1..-2], Regexp::MULTILINE) }
    messages = lines.each_with_object([]) do |line, out|
      # What comes before the first first line is unmatched, and sent line by line.
      if out.empty? || first.match(line) || !first.match(out.last) then out << line.dup else out.last << line end
    end
    messages.map do |message|
      match = format.match(message.chomp) or raise "not parsed: #{message.inspect}"
      record = match.named_captures.compact
      time = record.delete("time")
      time &&= Time.strptime("#{time} UTC", "#{input["multiline"]["time_format"]} %Z").to_i
      record["pid"] = record["pid"].to_i if record["pid"]
      record["connection"] = record["connection"].to_i if record["connection"]
      record.merge("_file" => file["path"], "_time" => time)
    end
  end
end

begin
  filter = Fluent::Plugin::FILTERS.fetch("expense").new
  filter.configure(input["filter"])
rescue Fluent::ConfigError => e
  puts JSON.generate("error" => e.message)
  exit
end
records = input["records"] ? input["records"].map { |record| thaw(record) } : tail(input)
events = records.map do |record|
  time = record.delete("_time")
  time, record = filter.filter_with_time("app.any", time, record)
  time = Float("#{time.sec}.#{format('%09d', time.nsec)}") if time.is_a?(Fluent::EventTime)
  record && { "time" => time, "record" => record }
end
puts JSON.generate("events" => events)
