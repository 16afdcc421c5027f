/** What decides how much is sent; see `congestion` of {@link ConnectOptions} and {@link ServeOptions}. */
export type Congestion = 'auto' | 'bbr' | 'cubic';

export const CONGESTIONS: readonly [Congestion, ...Congestion[]] = ['auto', 'bbr', 'cubic'];
