-- recsql.product: null of no rows.
create aggregate recsql.product(double precision) (sfunc = float8mul, stype = double precision);

comment on aggregate recsql.product(double precision) is 'The product of numbers.';
