# Has the real input read files, a step at a time.
#
#   ruby -I testdata testdata/tail.rb INPUT < JSON > JSON
#
# The first line of the input is {"parameter": text}; each other is a step, answered by a line {"events": [{"time": number,
# "record": {...}}], "said": [text]}: "look" reads what is complete, "stop" all there is, "kill" begins anew without a stop,
# "full" has the buffer take nothing, "disk" its disk, "large" no event, "slow" each after two seconds, "last" one hand-over after which the process
# ends, and "room" ends that; "watch" is the look at whether reading goes on, "stuck" has it stand still. A number is seconds that pass.
require "fluent/plugin/input"
load ARGV.fetch(0)

class Steps
  attr_reader :events, :said

  def initialize(conf)
    @conf = conf
    @time = 1000.0
    @full = nil
    @events, @said = [], []
    begin_anew
  end

  def begin_anew
    @input = Fluent::Plugin::INPUTS.fetch("expense").new
    @input.configure(@conf)
    @input.router = @input.log = steps = self
    @input.define_singleton_method(:now) { steps.now }
    @input.define_singleton_method(:sleep) { |seconds| steps.step(seconds) }
    @input.define_singleton_method(:exit!) { |status| steps.fatal("ended", status) }
    @input.start
  end

  def now = @time
  def warn(message, details = nil) = @said << "#{message} #{details}"
  alias error warn
  alias fatal warn

  def emit_stream(tag, stream)
    raise @full if @full.is_a?(Class)

    @time += 2 * stream.events.size if @full == "slow"
    @events.concat(stream.events.map { |time, record| { "tag" => tag, "time" => time.sec, "record" => record } })
    throw :ended if @full == "last"
  end

  def step(name)
    case name
    when Numeric then @time += name
    when "look" then catch(:ended) { nil while @input.send(:round) }
    when "stop" then @input.shutdown
    when "watch" then @input.send(:watch)
    when "kill" then begin_anew
    when "stuck" then @input.instance_variable_set(:@reader, Struct.new(:waits) { def join(seconds) = nil }.new)
    when "full" then @full = Fluent::Plugin::Buffer::BufferOverflowError
    when "disk" then @full = Errno::ENOSPC
    when "large" then @full = Fluent::Plugin::Buffer::BufferChunkOverflowError
    when "slow", "last" then @full = name
    when "room" then @full = nil
    else raise "unknown step #{name.inspect}"
    end
  end
end

def text(value)
  case value
  when Hash then value.transform_values { |inner| text(inner) }
  when String then value.dup.force_encoding("UTF-8").scrub("?")
  else value
  end
end

$stdout.sync = true
steps = Steps.new(JSON.parse($stdin.gets))
while (line = $stdin.gets)
  steps.step(JSON.parse(line, quirks_mode: true))
  puts JSON.generate("events" => steps.events.map { |event| text(event) }, "said" => steps.said)
  steps.events.clear
  steps.said.clear
end
