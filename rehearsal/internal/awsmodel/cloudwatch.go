package awsmodel

import (
	"slices"
	"strings"
)

func logRows() rows {
	return of("CloudWatch Logs", rows{
		tLogGroup: {
			ops: "CreateLogGroup PutRetentionPolicy DeleteLogGroup", name: named, arn: "logs|log-group:{name}", tagged: true,
			defaults:  map[string]any{"retentionInDays": 0},
			takenCode: "ResourceAlreadyExistsException", takenText: "The specified log group already exists: %s", times: instant,
			gone: logGroupGone,
		},
		tLogPolicy: {
			ops: "PutResourcePolicy PutResourcePolicy DeleteResourcePolicy", required: "policyDocument policyName",
			id: func(_ *Model, o *object) string { return o.in.str("policyName") }, times: instant,
			check: policyDocument("policyDocument", resourcePolicy, 0),
		},
	})
}

func alarmRows() rows {
	return of("CloudWatch", rows{
		tAlarm: {
			ops: "PutMetricAlarm PutMetricAlarm DeleteAlarms", required: "comparisonOperator evaluationPeriods threshold",
			name: naming{property: "name"}, arn: "cloudwatch|alarm:{name}", tagged: true,
			defaults: map[string]any{"treatMissingData": "missing"}, times: instant,
			check: checkAlarm, create: createAlarm, update: again(createAlarm),
		},
	})
}

// logGroupGone: a cluster that still logs makes its group again (terraform-aws-modules/terraform-aws-eks#2763).
func logGroupGone(m *Model, o *object) bool {
	name, ours := strings.CutPrefix(o.id, "/aws/eks/")
	if cluster := m.objects[tCluster][strings.TrimSuffix(name, "/cluster")]; ours && cluster != nil {
		delete(m.objects[tLogGroup], o.id)
		m.ensureLogGroup(cluster)
		return true
	}
	return false
}

func checkAlarm(c *checker) {
	if !c.has("metricQueries") {
		for _, p := range []string{"metricName", "namespace", "period", "statistic"} {
			if !c.has(p) {
				c.fail(p, "One of `metric_name` (with namespace, period and statistic) or `metric_query` must be set for a cloudwatch "+
					"metric alarm: "+
					"%s is missing", p)
			}
		}
	}
	// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
	if v := c.value("period"); v.IsNumber() && !slices.Contains([]float64{10, 20, 30}, v.NumberValue()) && int(v.NumberValue())%60 != 0 {
		c.fail("period", "period must be 10, 20, 30 or a multiple of 60, got %v", v.NumberValue())
	}
}

func createAlarm(m *Model, o *object) error {
	for _, p := range []string{"alarmActions", "okActions"} {
		for _, a := range o.in.strs(p) {
			if m.first(tTopic, "arn", a) == nil {
				return refuse("ValidationError", "Invalid arn syntax or topic does not exist: %s", a)
			}
		}
	}
	return nil
}
