-- Similarity methods that are there to be compared; those that are active are fused.

insert into recsql.source
(source_no, source, kind, history_length, history_decay, history_rate, is_active, reason, description)
values
(8, 'jaccard', 'similarity', 50, 'harmonic', 1.0, false, 'shares its audience with', 'users of both divided by users of either'),
(9, 'conditional', 'similarity', 50, 'harmonic', 1.0, false, 'often had with', 'P(neighbour | item), damped by popularity'),
(10, 'llr', 'similarity', 50, 'harmonic', 1.0, false, 'goes unusually often with', 'log-likelihood ratio of common users'),
(11, 'pearson', 'similarity', 50, 'harmonic', 1.0, false, 'rated like', 'correlation of normalised ratings'),
(12, 'slit', 'similarity', 50, 'harmonic', 0.5, true, 'often follows', 'SLIT weights: what comes next, less what the past explains');

update recsql.fusion_policy set weights = weights || '{"slit": 1}' where policy = 'rrf';
