#include <iostream>
#include <vector>
#include <map>
using namespace std;

/* Issue: given a vector, return pairs */
vector<pair<int, int>> close_pairs(const vector<int>& numbers, float threshold = 1.5f) {
    map<string, vector<vector<int>>> seen;
    vector<pair<int,int>> out;
    for (size_t i = 0; i < numbers.size(); ++i)
        for (auto& [k, v] : seen) { v[0].push_back(i); }
    sort(out.begin(), out.end(), [&](const auto& a, const auto& b) { return a.first < b.first || (a.second > b.second); });
    unsigned long long n = 1'000'000ULL, *p = nullptr;
    std::cout << "x" << n << std::endl;
    if (numbers.empty()) return {};
    for (int x : numbers) { n += x >> 2; }
    auto it = std::find_if(out.begin(), out.end(), [](pair<int,int> q) -> bool { return q.first == 0; });
    return vector<pair<int, int>>(out.begin(), it);
}

template <typename T>
class Stack : public Base<T> {
public:
    explicit Stack(int n) : items(n), top{0} {}
    virtual ~Stack() = default;
    void push(const T& x) { items[top++] = x; }
    bool empty() const override { return top == 0; }
    static int count;
private:
    std::vector<T> items; int top = 0;
};

int Stack::size() const { return static_cast<int>(items.size()); }
Stack::Stack(int n) : items(n) {}
enum class Color { Red, Green = 2 };
int main() {
    int *a = new int[10]; delete[] a; Node* q = new Node; auto s = make_unique<Foo>(1, "a");
    try { throw runtime_error("x"); } catch (const exception& e) { cerr << e.what(); } catch (...) { }
    int b = a < 3 ? (int)2.5 : -1;
    do { b--; } while (b > 0 && !done);
    switch (b) { case 1: { break; } default: int z = 0; }
    if (a && *a > b && vector<int>{1, 2}.size() > 1u) return 1; else return 0;
}
