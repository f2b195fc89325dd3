# As much of fluentd as the filter asks for. It is found by `require "fluent/plugin/filter"` when this folder is on Ruby's
# load path. Parameters are converted as fluentd does (lib/fluent/config/types.rb): a text that begins with a bracket is
# JSON, another one is a list with commas or colons.
require "json"

module Fluent
  class ConfigError < StandardError; end

  EventTime = Struct.new(:sec, :nsec) do
    def self.from_time(time) = new(time.to_i, time.nsec)
    def to_i = sec
  end

  class MultiEventStream
    attr_reader :events

    def initialize = @events = []
    def add(time, record) = @events << [time, record]
    def each(&block) = @events.each(&block)
  end

  module Plugin
    FILTERS = {}
    def self.register_filter(name, filter) = FILTERS[name] = filter

    class Filter
      CONVERT = {
        string: ->(text) { text },
        integer: ->(text) { Integer(text) },
        array: ->(text) { text.start_with?("[") ? JSON.parse(text) : text.split(",") },
        hash: ->(text) { text.start_with?("{") ? JSON.parse(text) : text.split(",").to_h { |pair| pair.split(":", 2) } },
      }.freeze

      def self.params = @params ||= {}

      def self.config_param(name, type)
        params[name] = type
        attr_reader name
      end

      def configure(conf)
        unknown = conf.keys - self.class.params.keys.map(&:to_s)
        raise ConfigError, "unknown parameters: #{unknown}" unless unknown.empty?

        self.class.params.each do |name, type|
          raise ConfigError, "'#{name}' parameter is required" unless conf.key?(name.to_s)

          instance_variable_set("@#{name}", CONVERT.fetch(type).call(conf[name.to_s]))
        end
      end

      # For filters of one event, as testdata/speed.rb may be given.
      def filter_stream(tag, stream)
        out = MultiEventStream.new
        stream.each do |time, record|
          time, record = filter_with_time(tag, time, record)
          out.add(time, record) if record
        end
        out
      end

      def log = Log

      module Log
        def self.error(message, details) = warn("#{message} #{details}")
      end
    end
  end
end
