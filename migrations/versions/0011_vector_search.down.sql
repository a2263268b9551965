drop table recsql.vector_search_audit;
