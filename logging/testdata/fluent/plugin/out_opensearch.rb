# As much of the OpenSearch plugin as our output changes.
module Fluent
  module Plugin
    def self.register_output(*) = nil

    OpenSearchOutput = Struct.new(:unrecoverable_record_types) do
      def write(_) = nil
    end
  end
end
