# Reads a list of [expression, text] as JSON and writes, for each, the list of what the expression matches in the text; or the
# reason why it is none, or none that the filter takes (Ruby before 3.2 cannot tell).
require "json"

found = JSON.parse($stdin.read).map do |expression, text|
  next "not linear" if Regexp.respond_to?(:linear_time?) && !Regexp.linear_time?(Regexp.new(expression))

  text.gsub(Regexp.new(expression)).map { |match| match }
rescue RegexpError => e
  e.message
end
puts JSON.generate(found)
