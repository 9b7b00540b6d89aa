type IsAny<T> = 0 extends 1 & T ? true : false;

/** Whether two types stand for the same values; `any` is the same as nothing but itself. */
type Equal<A, B> =
  IsAny<A> extends true ? IsAny<B> : IsAny<B> extends true ? false : [A] extends [B] ? ([B] extends [A] ? true : false) : false;

/** Compiles only if both types are the same. */
export declare function same<A, B>(...proof: Equal<A, B> extends true ? [] : ['these differ', A, B]): void;

/** Compiles only if the value is of this very type: `typed(value).is<Type>()`. */
export declare function typed<V>(value: V): { is<T>(...proof: Equal<V, T> extends true ? [] : ['it is', V, 'and not', T]): void };
