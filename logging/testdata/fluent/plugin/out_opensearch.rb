# As much of the OpenSearch plugin, and of fluentd's outputs, as our output changes.
module Fluent
  module Clock
    def self.now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end

  module Plugin
    def self.register_output(*) = nil

    # The handler says what it would have printed.
    OpenSearchErrorHandler = Struct.new(:plugin) do
      self::OpenSearchRequestAbortError = Class.new(StandardError)

      def unrecoverable_error?(type) = plugin.unrecoverable_error_types.include?(type)

      def handle_error(response, *)
        response["items"].select { |item| item["create"]["status"] == 400 }.size
      end
    end

    # A chunk is sent at once when the output is woken, and is refused as often as it says.
    class OpenSearchOutput
      attr_reader :unrecoverable_record_types, :queue

      def initialize(refused, queue = [])
        @unrecoverable_record_types, @queue = refused, queue
        @retry, @retry_mutex, @buffer = nil, Mutex.new, self
      end

      def write(_) = nil
      def queued? = @queue.any?
      def dequeued = {}
      def sleep(_) = nil
      def synchronize = yield
      def before_shutdown = (submit_flush_once while !@retry && queued?)

      def submit_flush_once
        return if @retry

        @queue[0].positive? ? (@queue[0] -= 1) && (@retry = true) : @queue.shift
      end
    end
  end
end
